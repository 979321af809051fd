"""Imports of packages that are extras of this plugin."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from allophone.errors import UserError


def required_package(module: str, *, metric: str, extra: str) -> Any:
    """Import the package that a metric needs; UserError that names the extra if that fails."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(
            f"The metric '{metric}' needs the package {module}, which cannot be imported: {error}.",
            hint=f"pip install 'allophone-evaluate[{extra}]'",
        ) from error
