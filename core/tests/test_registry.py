"""The registry: what works is found, what is broken is isolated and named."""

from __future__ import annotations

import types
from importlib.metadata import EntryPoint

import pytest

from allophone.entries import ModelEntry, RecipeEntry, Ref
from allophone.errors import PluginError
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry


def plugin(**hooks):
    module = types.ModuleType("inline_plugin")
    for name, function in hooks.items():
        setattr(module, f"allophone_{name}", hookimpl(function))
    return module


def model(name, **changed):
    fields = {"config": "attrs:frozen", "synthesizer": "attrs:define", **changed}
    return ModelEntry(name=name, summary="A model.", **fields)


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these entry points are installed: installed(name=module or exception)."""

    monkeypatch.delenv("ALLOPHONE_STRICT_PLUGINS", raising=False)

    def install(**plugins):
        points = []
        for name, loaded in plugins.items():
            point = EntryPoint(name=name, value=f"pkg_{name}", group="allophone.plugins")
            points.append((point, loaded))

        class Point:
            def __init__(self, point, loaded):
                self.name, self.value, self.dist = point.name, point.value, None
                self._loaded = loaded

            def load(self):
                if isinstance(self._loaded, Exception):
                    raise self._loaded
                return self._loaded

        monkeypatch.setattr(
            "importlib.metadata.entry_points",
            lambda group: [Point(*pair) for pair in points] if group == "allophone.plugins" else [],
        )
        return build_registry()

    return install


def test_core_registers_its_own_offers_through_the_hooks(installed):
    registry = installed()
    assert "espeak" in registry.entries("phonemizers")
    assert registry.owner("corpora", "table").distribution == "allophone"


def test_a_broken_plugin_is_listed_and_the_others_work(installed):
    good = plugin(models=lambda: [model("good")])
    registry = installed(bad=ImportError("no module named flux"), good=good)
    assert registry.find("models", "good").name == "good"
    broken = next(p for p in registry.plugins if p.name == "bad")
    assert "no module named flux" in broken.failure
    with pytest.raises(PluginError, match="plugin 'bad', which does not work") as caught:
        registry.find("models", "bad")
    assert isinstance(caught.value.__cause__, ImportError)


def test_strict_makes_breakage_fatal(installed, monkeypatch):
    monkeypatch.setenv("ALLOPHONE_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="'bad'.*no module named flux"):
        installed(bad=ImportError("no module named flux"))


def test_disabled_plugins_are_left_out(installed, monkeypatch):
    monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "bad, other")
    registry = installed(bad=ImportError("x"), good=plugin(models=lambda: [model("good")]))
    assert {p.name for p in registry.plugins} == {"core", "good"}


def test_near_misses_are_suggested(installed):
    registry = installed(good=plugin(models=lambda: [model("whisperer")]))
    with pytest.raises(PluginError) as caught:
        registry.find("models", "whisprer")
    assert "'whisperer'" in caught.value.hint
    assert "pip install" in caught.value.hint


def test_a_name_known_to_come_from_a_distribution_says_what_to_install(installed):
    with pytest.raises(PluginError) as caught:
        installed().find("models", "absent", distribution="allophone-absent")
    assert "pip install allophone-absent" in caught.value.hint


def test_duplicate_names_name_both_sides(installed):
    registry = installed(
        first=plugin(models=lambda: [model("same")]), second=plugin(models=lambda: [model("same")])
    )
    second = next(p for p in registry.plugins if p.name == "second")
    assert "pkg_first" in second.failure
    assert "pkg_second" in second.failure
    assert registry.find("models", "same").name == "same"


def test_a_misspelt_hook_is_refused_with_its_near_miss(installed):
    module = types.ModuleType("inline_plugin")
    module.allophone_modles = hookimpl(lambda: iter(()))
    registry = installed(odd=module)
    odd = next(p for p in registry.plugins if p.name == "odd")
    assert "allophone_modles" in odd.failure
    assert "allophone_models" in odd.cause.hint


def test_a_hook_that_returns_the_wrong_record_is_refused(installed):
    recipe = RecipeEntry(name="a/b", summary="x", package="p", path="x.toml")
    registry = installed(odd=plugin(models=lambda: [recipe]))
    assert "is no ModelEntry" in next(p for p in registry.plugins if p.name == "odd").failure


def test_hooks_with_arguments_they_do_not_have_break_only_their_plugin(installed):
    registry = installed(odd=plugin(models=lambda extra: [extra]))
    assert next(p for p in registry.plugins if p.name == "odd").failure


def test_a_reference_that_does_not_load_names_its_distribution(installed):
    registry = installed(good=plugin(models=lambda: [model("m", config="nowhere.config:Config")]))
    with pytest.raises(PluginError, match=r"pkg_good .*nowhere\.config:Config.*No module named"):
        registry.load("models", "m", "config")


def test_observers_that_raise_are_reported_not_raised():
    seen = []

    def quiet(event):
        seen.append(event)

    def loud(event):
        raise RuntimeError("disk full")

    registry = build_registry(
        {"quiet": plugin(train_event=quiet), "loud": plugin(train_event=loud)}
    )
    failures = registry.notify("happened")
    assert [str(failure) for failure in failures] == ["disk full"]
    assert seen == ["happened"]


def test_refs_are_checked_and_lazy():
    with pytest.raises(ValueError, match="regex"):
        Ref("no colon")
    assert Ref("os.path:join").load()("a", "b") == "a/b"
