"""Resolves a recipe name or a file to a complete experiment, with the origin of each value.

Precedence, lowest first: defaults, recipe, file, `--set`. A file names the recipe it is based on in a
top-level key: `recipe = "family/name"`.

An experiment that is trained in several runs has a table `[stages.<name>]` for each of them, with the
tables that differ in this stage: `[stages.first.trainer]`. Within a layer, a stage overrides the rest.
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
from allophone.files.parsing import parse_toml
from allophone.registry import Registry, default_registry


@frozen(kw_only=True)
class Resolved:
    """A resolved experiment, with the origin of each value.

    plain: the complete data, including defaults, as stored in the folder of a run.
    origins: where each value was set, by its path: "default", a recipe, a file or "--set".
    stages: names of the stages, if the experiment has any; `plain` holds the selected stage, or what
        all stages share.
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
    """Merge the layers of an experiment.

    recipe_or_path: a recipe name ("family/name") or a TOML file.
    overrides: assignments "a.b=value"; the last one wins.
    stage: the stage to select; None for what all stages share.
    Raises ConfigError for an invalid value, PluginError for a component that is not installed.
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
            else "The experiment has no stages. Omit --stage.",
        )
    # Start with the defaults, so that a layer with another type than the default replaces lower layers
    # that name no type.
    plain = unstructure(Experiment(), registry=registry)
    set_by: dict[str, str] = {}
    for origin, layer in _at_stage(layers, stage):
        plain = merge(plain, layer)
        set_by |= {path: origin for path, _ in leaves(layer)}
    for override in overrides:
        path, value = parse_assignment(override)
        plain = assign(plain, path, value)
        set_by |= {leaf: "--set" for leaf, _ in leaves(value, path)}
    experiment = structure(Experiment, plain, where=layers[-1][0], registry=registry)
    complete = unstructure(experiment, registry=registry)
    origins = {path: set_by.get(path, "default") for path, _ in leaves(complete)}
    return Resolved(experiment=experiment, plain=complete, origins=origins, stages=stages)


def load_experiment(path: str | Path, *, registry: Registry | None = None) -> Experiment:
    """Read the experiment from a saved, complete config, such as the one in the folder of a run."""
    return structure(Experiment, read_toml(path), where=str(path), registry=registry)


def read_recipe(name: str, *, registry: Registry | None = None) -> str:
    """Return the TOML text of a recipe."""
    entry = (registry or default_registry()).find("recipes", name)
    return importlib.resources.files(entry.package).joinpath(entry.path).read_text("utf-8")


def _stages(origin: str, layer: Plain) -> Plain:
    """Return the stages of a layer, each a table of tables."""
    stages = layer.get("stages", {})
    if not isinstance(stages, dict) or not all(isinstance(each, dict) for each in stages.values()):
        raise ConfigError(f"{origin}: stages must hold tables, such as [stages.first.trainer].")
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
        return _recipe_layers(recipe_or_path, registry)
    return _with_base(f"file {path}", read_toml(path), registry, below=())


def _recipe_layers(
    name: str, registry: Registry, below: tuple[str, ...] = ()
) -> list[tuple[str, Plain]]:
    """Return the layers of a recipe, after those of the recipe it is based on.

    below: the recipes that are based on this one.
    """
    if name in below:
        raise ConfigError(f"The recipe '{name}' is based on itself: {' -> '.join([*below, name])}.")
    where = f"recipe {name}"
    plain = parse_toml(read_recipe(name, registry=registry), f"The {where}")
    return _with_base(where, plain, registry, below=(*below, name))


def _with_base(
    origin: str, plain: Plain, registry: Registry, *, below: tuple[str, ...]
) -> list[tuple[str, Plain]]:
    base = plain.pop("recipe", None)
    if base is None:
        return [(origin, plain)]
    if not isinstance(base, str):
        raise ConfigError(
            f'{origin.removeprefix("file ")}: recipe must be a name, such as recipe = "family/name".'
        )
    return [*_recipe_layers(base, registry, below), (origin, plain)]
