"""What the registry expects of a plugin: the contract of its hooks, configs and recipes.

from allophone_testing import PluginContract

class TestPlugin(PluginContract):
    plugin = "mine"
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
import pytest

from allophone.config import load_experiment, read_toml, resolve, structure, unstructure, write_toml
from allophone.plugin import Plugin, references
from allophone.plugin_loading import ENTRY_POINT_GROUP
from allophone.registry import Registry
from allophone_testing.contract import Contract
from allophone_testing.light import heavy_imports


class PluginContract(Contract):
    """An installed plugin works, is light, and all that it names is there.

    plugin: its name, which is that of its entry point.
    required: values for config fields that have no default, by the name of the field; corpora need
        a `root`, say.
    """

    plugin: str
    required: dict[str, Any] = {"root": "recordings"}  # noqa: RUF012 - a subclass replaces it

    @pytest.fixture(scope="class")
    @classmethod
    def offered(cls, registry: Registry) -> Plugin:
        """What the plugin offers."""
        return find_plugin(cls.plugin, registry)

    def test_it_works(self, offered: Plugin) -> None:
        assert not offered.disabled, "ALLOPHONE_DISABLE_PLUGINS disables the plugin; unset it."
        assert offered.failure is None, f"The registry refuses the plugin: {offered.failure}"
        problems = [f"{conflict.message} {conflict.advice}" for conflict in offered.conflicts]
        assert not problems, "\n".join(problems)
        assert offered.entries or offered.observes, (
            "The plugin implements no hook: see allophone.hookspecs for what there is."
        )

    def test_its_light_modules_are_light(self, offered: Plugin) -> None:
        modules = {
            point.module
            for point in metadata.entry_points(group=ENTRY_POINT_GROUP)
            if point.name == self.plugin
        }
        modules |= {
            entry.config.target.partition(":")[0]
            for _, entry in entries_of(offered)
            if hasattr(entry, "config")
        }
        for module in sorted(modules):
            heavy = heavy_imports(f"import {module}")
            assert not heavy, "\n".join(
                f"{module} imports {package}, by way of {' > '.join(chain) or module}: modules of hooks "
                "and configs are imported to list what is installed, and must stay light."
                for package, chain in heavy.items()
            )

    def test_all_that_it_names_is_there(self, offered: Plugin) -> None:
        problems = []
        for kind, entry in entries_of(offered):
            for attribute, ref in references(entry):
                try:
                    ref.load()
                except Exception as error:
                    problems.append(
                        f"{kind} '{entry.name}': {attribute} = '{ref}' raises "
                        f"{type(error).__name__}: {error}"
                    )
        assert not problems, "\n".join(problems)

    def test_configs_are_frozen_records_with_defaults(self, offered: Plugin) -> None:
        for kind, entry in entries_of(offered):
            if not hasattr(entry, "config"):
                continue
            cls = entry.config.load()
            assert attrs.has(cls), f"{entry.config} of the {kind} '{entry.name}' is no attrs class."
            config = self.example(cls)
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                config.anything = None
            positional = [field.name for field in attrs.fields(cls) if not field.kw_only]
            assert not positional, f"{entry.config} is not kw_only: {positional}"

    def test_configs_survive_being_written(
        self, offered: Plugin, registry: Registry, tmp_path: Path
    ) -> None:
        for kind, entry in entries_of(offered):
            if not hasattr(entry, "config"):
                continue
            config = self.example(entry.config.load())
            path = tmp_path / "config.toml"
            write_toml(path, unstructure(config, registry=registry))
            again = structure(type(config), read_toml(path), registry=registry)
            assert again == config, (
                f"{entry.config} of the {kind} '{entry.name}' does not come back from TOML as it was: "
                f"{again} instead of {config}. Use fields that TOML can hold, and tuples for lists."
            )

    def test_recipes_are_complete_and_survive_being_written(
        self, offered: Plugin, registry: Registry, tmp_path: Path
    ) -> None:
        for recipe in offered.entries.get("recipes", ()):
            stages = resolve(recipe.name, registry=registry).stages
            for stage in stages or (None,):
                resolved = resolve(recipe.name, stage=stage, registry=registry)
                write_toml(tmp_path / "experiment.toml", resolved.plain)
                again = load_experiment(tmp_path / "experiment.toml", registry=registry)
                shown = f"{recipe.name} at stage {stage}" if stage else recipe.name
                assert again == resolved.experiment, f"{shown} does not come back as it was."
                assert resolved.experiment.trainer is not None, f"{shown} has no [trainer]."

    def example(self, cls: type) -> Any:
        """An instance of a config class, with its defaults."""
        missing = {
            field.name: self.required[field.alias]
            for field in attrs.fields(cls)
            if field.default is attrs.NOTHING and field.alias in self.required
        }
        try:
            return cls(**missing)
        except TypeError as error:
            pytest.fail(
                f"{cls.__qualname__} cannot be made without arguments: {error}. Give every field a "
                "default, so that --set can change a table's type, or name values in `required`."
            )


def find_plugin(name: str, registry: Registry) -> Plugin:
    """The plugin of that name, working or not."""
    plugins = {plugin.name: plugin for plugin in registry.plugins}
    assert name in plugins, (
        f"There is no plugin '{name}', only {sorted(plugins)}. Is it installed (pip install -e .), "
        f"with an entry point of that name in the group '{ENTRY_POINT_GROUP}'?"
    )
    return plugins[name]


def entries_of(plugin: Plugin) -> Iterator[tuple[str, Any]]:
    """All that a plugin offers, each with its kind."""
    for kind, entries in plugin.entries.items():
        for entry in entries:
            yield kind, entry
