"""The contract of a plugin notices when it is broken, and says by what."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar

import pytest
from attrs import field, frozen, validators

from allophone.entries import CommandEntry, ModelEntry, RecipeEntry
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone_testing import PluginContract
from allophone_testing.plugin import find_plugin


class TestCore(PluginContract):
    """The core's own offers keep it."""

    plugin = "core"
    required: ClassVar = {"root": "recordings", "voice": "joe"}


@frozen(kw_only=True)
class GoodConfig:
    width: int = field(default=4, validator=validators.gt(0))


@frozen
class PositionalConfig:
    width: int = 4


class MutableConfig:
    pass


@frozen(kw_only=True)
class DemandingConfig:
    width: int


@frozen(kw_only=True)
class LosingConfig:
    widths: Any = (1, 2)


def offering(**fields):
    """The registry with a model of these fields, and what it offers."""
    entry = ModelEntry(
        name="broken",
        summary="Broken.",
        **{"config": f"{__name__}:GoodConfig", "synthesizer": "attrs:define", **fields},
    )
    module = ModuleType("inline")
    module.CONTRACT = 1
    module.allophone_models = hookimpl(lambda: [entry])
    registry = build_registry({"inline": module}, strict=False)
    return registry, registry.plugins[-1]


class TestPluginViolations:
    def test_a_plugin_that_is_not_installed(self):
        with pytest.raises(AssertionError, match="There is no plugin 'absent', only .*'core'"):
            find_plugin("absent", build_registry())

    def test_a_plugin_that_is_broken(self):
        module = ModuleType("inline")
        module.CONTRACT = 1
        module.allophone_modles = hookimpl(lambda: iter(()))
        offered = build_registry({"inline": module}, strict=False).plugins[-1]
        with pytest.raises(AssertionError, match="refuses the plugin: .*allophone_modles"):
            PluginContract().test_it_works(offered)

    def test_a_plugin_without_offers(self):
        module = ModuleType("inline")
        module.CONTRACT = 1
        offered = build_registry({"inline": module}).plugins[-1]
        with pytest.raises(AssertionError, match="The plugin implements no hook"):
            PluginContract().test_it_works(offered)

    def test_a_plugin_that_only_observes_is_no_violation(self):
        module = ModuleType("inline")
        module.CONTRACT = 1
        module.allophone_train_event = hookimpl(lambda event: None)
        PluginContract().test_it_works(build_registry({"inline": module}).plugins[-1])

    def test_a_plugin_whose_names_are_taken(self):
        module = ModuleType("inline")
        module.CONTRACT = 1
        entry = CommandEntry(name="say", summary="-", command="x:y")
        module.allophone_commands = hookimpl(lambda: [entry])
        offered = build_registry({"inline": module}, strict=False).plugins[-1]
        with pytest.raises(AssertionError, match="command 'say' is offered by.*pip|DISABLE"):
            PluginContract().test_it_works(offered)

    def test_a_plugin_that_is_disabled(self, monkeypatch):
        monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "inline")
        offered = build_registry({"inline": ModuleType("inline")}).plugins[-1]
        with pytest.raises(AssertionError, match="ALLOPHONE_DISABLE_PLUGINS disables"):
            PluginContract().test_it_works(offered)

    def test_a_config_module_that_is_heavy(self):
        contract = PluginContract()
        contract.plugin = "inline"
        _, offered = offering(config="allophone.training.objective:OptimizerPlan")
        with pytest.raises(AssertionError, match="allophone.training.objective imports torch"):
            contract.test_its_light_modules_are_light(offered)

    def test_a_reference_to_nothing(self):
        _, offered = offering(synthesizer="attrs:no_such_thing")
        with pytest.raises(AssertionError, match="models 'broken': synthesizer = 'attrs:no_such"):
            PluginContract().test_all_that_it_names_is_there(offered)

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ("PositionalConfig", r"is not kw_only: \['width'\]"),
            ("MutableConfig", "is no attrs class"),
            ("DemandingConfig", "Give every field a default"),
        ],
    )
    def test_a_config_of_another_kind(self, config, said):
        _, offered = offering(config=f"{__name__}:{config}")
        with pytest.raises((AssertionError, pytest.fail.Exception), match=said):
            PluginContract().test_configs_are_frozen_records_with_defaults(offered)

    def test_a_config_that_toml_loses(self, tmp_path):
        registry, offered = offering(config=f"{__name__}:LosingConfig")
        with pytest.raises(AssertionError, match="does not come back from TOML as it was"):
            PluginContract().test_configs_survive_being_written(offered, registry, tmp_path)

    def test_a_recipe_that_trains_nothing(self, tmp_path, monkeypatch):
        (tmp_path / "recipes_of_a_test").mkdir()
        (tmp_path / "recipes_of_a_test" / "__init__.py").touch()
        (tmp_path / "recipes_of_a_test" / "empty.toml").touch()
        monkeypatch.syspath_prepend(tmp_path)
        entry = RecipeEntry(
            name="x/empty", summary="Empty.", package="recipes_of_a_test", path="empty.toml"
        )
        module = ModuleType("inline")
        module.CONTRACT = 1
        module.allophone_recipes = hookimpl(lambda: [entry])
        registry = build_registry({"inline": module})
        with pytest.raises(AssertionError, match=r"x/empty has no \[trainer\]"):
            PluginContract().test_recipes_are_complete_and_survive_being_written(
                registry.plugins[-1], registry, tmp_path
            )
