"""Options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def stage_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--stage`, for what an experiment says of only one of its runs."""
    return click.option(
        "--stage", metavar="NAME", help="Which run of a recipe that is trained in several: ar, nar."
    )(command)


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
