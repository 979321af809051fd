"""Options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click


def stage_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--stage`, which selects one run of an experiment that is trained in several."""
    return click.option(
        "--stage",
        metavar="NAME",
        help="For a recipe that is trained in several stages: the NAME of one of its tables [stages.NAME]. "
        "Without this option, `train` lists them.",
    )(command)


def experiment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument RECIPE (a recipe's name or a TOML file) and the option `--set`.

    They are passed as `recipe` and `overrides`.
    """
    command = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="A.B=VALUE",
        help="Override a value of the configuration; may be repeated.",
    )(command)
    return click.argument("recipe", metavar="RECIPE")(command)


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--engine` and `--device`, which `allophone.load` takes under the same names."""
    command = click.option(
        "--device", default="cpu", show_default=True, help="Such as cpu, cuda or cuda:1."
    )(command)
    return click.option(
        "--engine",
        metavar="NAME",
        help="The inference engine, such as onnx or torch; by default the lightest that supports the voice.",
    )(command)


def vocoder_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--vocoder`, which `allophone.load` takes under the same name."""
    return click.option(
        "--vocoder",
        metavar="VOCODER",
        help="A vocoder folder, a run, a checkpoint, or griffin-lim; for voices that predict mel spectrograms.",
    )(command)


def parse_controls(
    given: Sequence[str], *, option: str = "--control", example: str = "length_scale=1.2"
) -> dict[str, Any]:
    """Return controls by name, from `name=value` as given for `option`. Raises ConfigError for what is not of this form.

    example: one that is valid, for error messages.
    """
    from allophone.config.tables import parse_assignment

    return dict(parse_assignment(each, option=option, example=example) for each in given)
