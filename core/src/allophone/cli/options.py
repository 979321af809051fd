"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def experiment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument RECIPE (a recipe's name or a TOML file) and `--set`, as `recipe` and `overrides`."""
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="A.B=VALUE",
        help="Set one value of the configuration; may be repeated.",
    )(command)
    return click.argument("recipe", metavar="RECIPE")(command)
