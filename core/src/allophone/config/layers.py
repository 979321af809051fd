"""From a recipe's name or a file to a complete experiment that knows where each value came from.

Defaults lie below the recipe, the recipe below the file, the file below what `--set` says. A file names
the recipe that it builds on in a line at its top: `recipe = "family/name"`.

What is trained in several runs has a table for each of them, `[stages.<name>]`, with the tables that are
this stage's own: `[stages.ar.trainer]`. A layer's stage lies over the rest of that layer.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from allophone.config.converting import structure, unstructure
from allophone.config.experiment import Experiment
from allophone.config.tables import (
    Plain,
    assign,
    leaves,
    merge,
    parse_assignment,
    read_toml,
)
from allophone.errors import ConfigError, near_miss
from allophone.registry import Registry, default_registry


@frozen(kw_only=True)
class Resolved:
    """An experiment with its history.

    plain: the complete data, every default written out, as a run keeps it.
    origins: for the path of each value, where it was said: "default", a recipe, a file or "--set".
    stages: the runs that it is trained in, where there are several; `plain` is of the chosen one, or
        holds what they have in common.
    """

    experiment: Experiment
    plain: Plain
    origins: Mapping[str, str]
    stages: tuple[str, ...] = ()


def resolve(
    recipe_or_path: str | Path,
    overrides: Sequence[str] = (),
    *,
    stage: str | None = None,
    registry: Registry | None = None,
) -> Resolved:
    """Put the layers of an experiment together.

    recipe_or_path: a recipe's name ("family/name") or a TOML file.
    overrides: assignments "a.b=value", the last one winning.
    stage: which of its stages; None for what they have in common.
    Raises ConfigError for what is not valid, PluginError for what is not installed.
    """
    registry = registry or default_registry()
    layers = list(_layers(str(recipe_or_path), registry))
    stages = tuple(
        dict.fromkeys(name for origin, layer in layers for name in _stages(origin, layer))
    )
    if stage is not None and stage not in stages:
        raise ConfigError(
            f"{recipe_or_path} has no stage '{stage}'.",
            hint=near_miss(stage, stages)
            if stages
            else "It is trained in one run: leave out --stage.",
        )
    # So that a layer which names another type than the default keeps nothing of a layer that names none.
    plain = unstructure(Experiment(), registry=registry)
    said: dict[str, str] = {}
    for origin, layer in _at_stage(layers, stage):
        plain = merge(plain, layer)
        said |= {path: origin for path, _ in leaves(layer)}
    for override in overrides:
        path, value = parse_assignment(override)
        plain = assign(plain, path, value)
        said |= {below: "--set" for below, _ in leaves(value, path)}
    experiment = structure(Experiment, plain, where=layers[-1][0], registry=registry)
    complete = unstructure(experiment, registry=registry)
    origins = {path: said.get(path, "default") for path, _ in leaves(complete)}
    return Resolved(experiment=experiment, plain=complete, origins=origins, stages=stages)


def load_experiment(path: str | Path, *, registry: Registry | None = None) -> Experiment:
    """The experiment of a complete config that was saved, as in the folder of a run."""
    return structure(Experiment, read_toml(path), where=str(path), registry=registry)


def read_recipe(name: str, *, registry: Registry | None = None) -> str:
    """The TOML text of a recipe."""
    entry = (registry or default_registry()).find("recipes", name)
    return importlib.resources.files(entry.package).joinpath(entry.path).read_text("utf-8")


def _stages(origin: str, layer: Plain) -> Plain:
    """The stages that a layer tells of, each a table of tables."""
    stages = layer.get("stages", {})
    if not isinstance(stages, dict) or not all(isinstance(each, dict) for each in stages.values()):
        raise ConfigError(f"{origin}: stages must be tables, as in [stages.first.trainer].")
    return stages


def _at_stage(
    layers: Sequence[tuple[str, Plain]], stage: str | None
) -> Iterator[tuple[str, Plain]]:
    for origin, layer in layers:
        yield origin, {table: value for table, value in layer.items() if table != "stages"}
        if stage is not None:
            yield f"{origin}, stage {stage}", _stages(origin, layer).get(stage, {})


def _layers(recipe_or_path: str, registry: Registry) -> list[tuple[str, Plain]]:
    path = Path(recipe_or_path)
    if path.suffix != ".toml":
        recipes = registry.entries("recipes")
        if path.exists() and recipe_or_path not in recipes:
            raise ConfigError(
                f"{recipe_or_path} is neither a recipe nor a TOML file.",
                hint=near_miss(recipe_or_path, recipes),
            )
        return [_recipe_layer(recipe_or_path, registry)]
    plain = read_toml(path)
    base = plain.pop("recipe", None)
    file_layer = (f"file {path}", plain)
    if base is None:
        return [file_layer]
    if not isinstance(base, str):
        raise ConfigError(f'{path}: recipe must be a name, as in recipe = "family/name".')
    return [_recipe_layer(base, registry), file_layer]


def _recipe_layer(name: str, registry: Registry) -> tuple[str, Plain]:
    import tomllib

    text = read_recipe(name, registry=registry)
    try:
        return f"recipe {name}", tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The recipe {name} is no TOML: {error}") from error
