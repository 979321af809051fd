"""The registry: what works is found, what is broken is isolated and named, and each error says what to do."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import types
from email.message import Message
from importlib.metadata import EntryPoint

import pytest

from allophone.entries import CommandEntry, ModelEntry, RecipeEntry, Ref, VoiceEntry
from allophone.errors import PluginError
from allophone.hookspecs import CONTRACT, hookimpl
from allophone.registry import build_registry


def plugin(contract=CONTRACT, **hooks):
    module = types.ModuleType("inline_plugin")
    module.CONTRACT = contract
    for name, function in hooks.items():
        setattr(module, f"allophone_{name}", hookimpl(function))
    return module


def model(name, **changed):
    fields = {"config": "attrs:frozen", "synthesizer": "attrs:define", **changed}
    return ModelEntry(name=name, summary="A model.", **fields)


def offering(*names):
    return plugin(models=lambda: [model(name) for name in names])


class Distribution:
    """Stands in for the metadata of an installed distribution."""

    def __init__(self, name, requires=(), checkout=None, extras=()):
        self.metadata = Message()
        for field, value in [
            ("Name", name),
            ("Version", "1.0"),
            *(("Provides-Extra", extra) for extra in extras),
        ]:
            self.metadata[field] = value
        self.requires, self.checkout = requires, checkout

    def read_text(self, file):
        origin = {"url": f"file://{self.checkout}", "dir_info": {"editable": True}}
        return json.dumps(origin) if self.checkout and file == "direct_url.json" else None


class Point:
    """An entry point of a distribution, that loads a module or raises an exception."""

    def __init__(self, name, loaded, dist=None, module=None):
        self.name, self._loaded = name, loaded
        self.module = self.value = module or f"pkg_{name}.hooks"
        self.dist = dist or Distribution(f"allophone-{name}")

    def load(self):
        if isinstance(self._loaded, BaseException):
            raise self._loaded
        return self._loaded


@pytest.fixture
def installed(monkeypatch):
    """Pretend that these are installed: installed(name=module or exception), or installed(Point(...))."""
    monkeypatch.delenv("ALLOPHONE_STRICT_PLUGINS", raising=False)

    def install(*points, **plugins):
        points = [*points, *(Point(name, loaded) for name, loaded in plugins.items())]
        monkeypatch.setattr(
            "importlib.metadata.entry_points",
            lambda group: points if group == "allophone.plugins" else [],
        )
        return build_registry()

    return install


@pytest.fixture
def write(tmp_path, monkeypatch):
    """write(name, code) is an entry point of a package that is really there, with this hooks module."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(name, code, **about):
        folder = tmp_path / f"written_{name}"
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "hooks.py").write_text(code)
        importlib.invalidate_caches()
        point = EntryPoint(name, f"written_{name}.hooks", "allophone.plugins")
        vars(point)["dist"] = Distribution(f"allophone-{name}", **about)
        return point

    yield written
    for module in [name for name in sys.modules if name.startswith("written_")]:
        del sys.modules[module]


def of(registry, name):
    return next(plugin for plugin in registry.plugins if plugin.name == name)


def test_core_registers_its_own_offers_through_the_hooks(installed):
    registry = installed()
    assert "griffin-lim" in registry.entries("vocoders")
    assert registry.owner("vocoders", "griffin-lim").distribution == "allophone"


def test_a_broken_plugin_is_listed_and_the_others_work(installed):
    registry = installed(bad=ImportError("no module named flux"), good=offering("good"))
    assert registry.find("models", "good").name == "good"
    assert of(registry, "bad").state == "broken"
    assert "no module named flux" in of(registry, "bad").failure
    with pytest.raises(PluginError, match="plugin 'bad', which does not work") as caught:
        registry.find("models", "bad")
    assert isinstance(caught.value.__cause__, ImportError)


def test_a_plugin_that_ends_the_program_is_only_broken(installed):
    registry = installed(bad=SystemExit("needs a GPU"), good=offering("good"))
    assert of(registry, "bad").failure == "SystemExit: needs a GPU"
    assert registry.find("models", "good")


def test_strict_makes_breakage_fatal(installed, monkeypatch):
    monkeypatch.setenv("ALLOPHONE_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="'bad'.*no module named flux") as caught:
        build_registry_of(monkeypatch, bad=ImportError("no module named flux"))
    assert isinstance(caught.value.__cause__, ImportError)


def build_registry_of(monkeypatch, **plugins):
    points = [Point(name, loaded) for name, loaded in plugins.items()]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    return build_registry()


class TestContract:
    def test_a_plugin_that_does_not_say_its_contract_is_told_the_line(self, installed):
        module = offering("good")
        del module.CONTRACT
        registry = installed(good=module)
        assert "does not declare the version of the hook contract" in of(registry, "good").failure
        assert "Add the line: CONTRACT = 1" in of(registry, "good").advice
        assert not registry.entries("models")

    @pytest.mark.parametrize(
        ("contract", "advice"),
        [
            (CONTRACT + 1, "pip install --upgrade allophone"),
            (CONTRACT - 1, "pip install --upgrade allophone-other"),
        ],
    )
    def test_of_a_plugin_for_another_contract_no_hook_is_called(self, installed, contract, advice):
        called = []
        module = plugin(
            contract, models=lambda: called.append("models"), hook_of_tomorrow=lambda: None
        )
        registry = installed(other=module)
        other = of(registry, "other")
        assert (
            other.failure
            == f"written for hook contract {contract}; this version of Allophone has 1"
        )
        assert other.advice.endswith(advice)
        assert called == []
        assert registry.notify("happened") == []

    @pytest.mark.parametrize("contract", ["1", True, 1.0])
    def test_a_contract_is_a_whole_number(self, installed, contract):
        other = of(installed(other=plugin(contract)), "other")
        assert f"CONTRACT = {contract!r}, which is not an integer" in other.failure


class TestConflicts:
    def test_only_the_clashing_entry_of_the_newcomer_is_left_out(self, installed):
        voice = VoiceEntry(name="b", summary="-", language="en", licence="CC0", locate="x:y")
        second = plugin(models=lambda: [model("same"), model("other")], voices=lambda: [voice])
        registry = installed(first=offering("same"), second=second)
        assert registry.owner("models", "same").name == "first"
        assert registry.owner("models", "other").name == "second"
        assert registry.owner("voices", "b").name == "second"
        assert of(registry, "first").conflicts == ()
        (conflict,) = of(registry, "second").conflicts
        assert (conflict.kind, conflict.name) == ("models", "same")
        for plugin_of_both in (
            "'first' of allophone-first 1.0",
            "'second' of allophone-second 1.0",
        ):
            assert plugin_of_both in conflict.message
        for command in (
            "pip uninstall allophone-first",
            "pip uninstall allophone-second",
            "ALLOPHONE_DISABLE_PLUGINS=first",
            "ALLOPHONE_DISABLE_PLUGINS=second",
        ):
            assert command in conflict.advice

    def test_the_core_keeps_its_names_and_need_not_be_uninstalled(self, installed):
        command = CommandEntry(name="say", summary="-", command="x:y")
        registry = installed(loud=plugin(commands=lambda: [command]))
        assert registry.owner("commands", "say").name == "core"
        (conflict,) = of(registry, "loud").conflicts
        assert "pip uninstall allophone-loud" in conflict.advice
        assert "pip uninstall allophone," not in conflict.advice
        assert "=core" not in conflict.advice

    def test_the_advice_keeps_what_is_disabled_already(self, installed, monkeypatch):
        monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "old")
        registry = installed(old=plugin(), first=offering("same"), second=offering("same"))
        (conflict,) = of(registry, "second").conflicts
        assert "ALLOPHONE_DISABLE_PLUGINS=old,second" in conflict.advice

    def test_a_look_up_of_the_name_warns_once(self, installed, caplog):
        registry = installed(first=offering("same", "own"), second=offering("same"))
        registry.find("models", "own")
        assert not caplog.records
        assert registry.load("models", "same", "config")
        registry.find("models", "same")
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "that of allophone-first is used" in record.message
        assert "pip uninstall allophone-second" in record.message

    def test_one_plugin_that_offers_a_name_twice(self, installed):
        registry = installed(odd=offering("same", "same", "other"))
        assert set(registry.entries("models")) == {"same", "other"}
        (conflict,) = of(registry, "odd").conflicts
        assert "offers the model 'same' twice" in conflict.message
        assert "Remove one of them from pkg_odd.hooks" in conflict.advice

    def test_two_entry_points_of_one_name_both_work(self, installed):
        registry = installed(
            Point("twin", offering("b"), Distribution("allophone-b"), "pkg_b.hooks"),
            Point("twin", offering("a"), Distribution("allophone-a"), "pkg_a.hooks"),
        )
        assert set(registry.entries("models")) == {"a", "b"}
        second = of(registry, "twin (pkg_b.hooks)")
        (conflict,) = second.conflicts
        assert "Two plugins are called 'twin'" in conflict.message
        assert "pip uninstall allophone-b, or pip uninstall allophone-a" in conflict.advice
        assert "DISABLE" not in conflict.advice, "that would disable both"

    def test_one_module_behind_two_entry_points_is_registered_once(self, installed):
        module = offering("a")
        registry = installed(one=module, two=module)
        assert of(registry, "one").state == "works"
        assert "already registered as the plugin 'one'" in of(registry, "two").failure
        assert registry.find("models", "a")

    def test_strict_makes_a_conflict_fatal(self, installed, monkeypatch):
        monkeypatch.setenv("ALLOPHONE_STRICT_PLUGINS", "1")
        with pytest.raises(PluginError, match="model 'same' is offered by") as caught:
            build_registry_of(monkeypatch, first=offering("same"), second=offering("same"))
        assert "pip uninstall allophone-second" in caught.value.hint


class TestDisabled:
    def test_it_is_listed_and_nothing_of_it_is_imported(self, installed, monkeypatch):
        monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "bad, other")
        registry = installed(bad=ImportError("x"), other=plugin(), good=offering("good"))
        assert {p.name: p.state for p in registry.plugins} == {
            "core": "works",
            "bad": "disabled",
            "good": "works",
            "other": "disabled",
        }
        assert of(registry, "bad").failure is None
        assert "unset ALLOPHONE_DISABLE_PLUGINS" in of(registry, "bad").advice

    def test_strict_minds_nothing_that_is_disabled(self, monkeypatch):
        monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "bad")
        monkeypatch.setenv("ALLOPHONE_STRICT_PLUGINS", "1")
        build_registry_of(monkeypatch, bad=ImportError("x"))

    def test_a_misspelt_name_is_warned_of(self, installed, monkeypatch, caplog):
        monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "whisprer,good")
        installed(whisperer=offering("whisperer"), good=offering("good"))
        (record,) = caplog.records
        assert "names 'whisprer'" in record.message
        assert "'whisperer'" in record.message

    def test_a_look_up_of_what_it_may_offer_says_so(self, installed, monkeypatch):
        monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "whisperer")
        registry = installed(whisperer=offering("whisperer"))
        with pytest.raises(PluginError, match="plugin 'whisperer', which is disabled") as caught:
            registry.find("recipes", "whisperer/tiny")
        assert "unset ALLOPHONE_DISABLE_PLUGINS" in caught.value.hint


class TestMissing:
    @pytest.fixture
    def registry(self, installed, monkeypatch):
        monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", "off")
        return installed(bad=ImportError("x"), off=plugin(), good=offering("whisperer"))

    def test_near_misses_are_suggested(self, registry):
        hint = registry.missing("models", "whisprer").hint
        assert "'whisperer'" in hint
        assert "pip install allophone-whisprer" in hint

    @pytest.mark.parametrize("kind", ["models", "voices", "corpora", "commands", "normalizers"])
    def test_every_look_up_names_broken_and_disabled_plugins(self, registry, kind):
        hint = registry.missing(kind, "absent").hint
        assert "broken plugin: bad" in hint
        assert "disabled plugin: off; unset ALLOPHONE_DISABLE_PLUGINS" in hint

    @pytest.mark.parametrize(
        ("kind", "name", "command"),
        [
            ("models", "absent", "pip install allophone-absent"),
            ("recipes", "absent/tiny", "pip install allophone-absent"),
            ("trainers", "absent.ar", "pip install allophone-absent"),
            ("corpora", "ljspeech-2", "pip install allophone-corpora"),
            ("voices", "jane", "pip install allophone-voice-jane"),
            ("voices", "runs/jane", None),
            ("voices", "jane.onnx", None),
            ("models", "x; rm -rf ~", None),
            ("normalizers", "de", None),
            ("feature_extractors", "codes", None),
            ("commands", "trian", None),
        ],
    )
    def test_a_distribution_is_guessed_where_its_name_follows_from_the_entry(
        self, registry, kind, name, command
    ):
        hint = registry.missing(kind, name).hint
        assert command in hint if command else "pip install" not in hint

    def test_what_is_installed_already_is_not_guessed(self, registry):
        assert "pip install" not in registry.missing("recipes", "good/tiny").hint

    def test_a_broken_plugin_is_known_by_the_distribution_that_was_guessed(self, installed):
        dist = Distribution("allophone-corpora")
        registry = installed(Point("readers", ImportError("x"), dist))
        with pytest.raises(PluginError, match="plugin 'readers', which does not work"):
            registry.find("corpora", "ljspeech-2")

    def test_what_a_model_can_be_trained_on_is_known_by_its_extra(self, installed):
        requires = ['no-such-plugin>=1; extra == "features"', 'absent; extra == "export"']
        family = Distribution("allophone-family", requires, extras=("features", "export"))
        complete = Distribution("allophone-other", ['attrs; extra == "features"'])
        registry = installed(Point("a", plugin(), family), Point("b", plugin(), complete))
        hint = registry.missing("feature_extractors", "codes").hint
        assert "A plugin may offer it: pip install 'allophone-family[features]'" in hint
        assert hint.count("pip install") == 1
        assert registry.missing("normalizers", "de").hint is None

    def test_a_name_known_to_come_from_a_distribution_says_what_to_install(self, registry):
        def hint(distribution):
            return registry.missing("models", "absent", distribution=distribution).hint

        assert "Install the package that provides it: pip install from-afar" in hint("from-afar")
        assert "pip install --upgrade allophone-good" in hint("allophone-good")
        for name in ("x; rm -rf ~", "--index-url=x", "-r file", "a b", "", "x\n", 3, ["x"]):
            assert "pip install" not in hint(name)

    def test_a_checkpoint_of_a_broken_plugin_names_it(self, registry):
        with pytest.raises(PluginError, match="plugin 'bad', which does not work"):
            registry.find("models", "oddly-named", distribution="allophone-bad")

    def test_who_knows_better_says_what_was_looked_for_and_among_what(self, registry):
        error = registry.missing("voices", "jane", message="Neither this nor that.", known=["jan"])
        assert error.message == "Neither this nor that."
        assert "'jan'" in error.hint


class TestAdvice:
    """What to do about a broken plugin fits why it is broken."""

    def test_a_missing_dependency_is_to_be_installed(self, installed, write):
        point = write("a", "from no_such_module import x\n")
        assert "pip install no_such_module" in of(installed(point), "a").advice

    def test_its_distribution_is_that_of_the_requirement_that_is_not_there(self, installed, write):
        named = write("a", "import no_such_module\n", requires=("attrs", "No-Such.Module>=1"))
        other = write(
            "b",
            "import yamlish\n",
            requires=("attrs", "PyYamlish>=3", "extra-only; extra == 'more'"),
        )
        registry = installed(named, other)
        assert "pip install No-Such.Module" in of(registry, "a").advice
        assert "pip install PyYamlish" in of(registry, "b").advice

    def test_what_an_extra_brings_is_installed_with_the_extra(self, installed, write):
        requires = (
            "no-such-player; extra == 'testing'",
            "no-such-player>=1; extra == 'play'",
            "allophone[torch]; extra == 'more'",
        )
        own = write("a", "import no_such_player\n", requires=requires, extras=("testing", "play"))
        assert "pip install 'allophone-a[play]'" in of(installed(own), "a").advice
        code = "raise ModuleNotFoundError('no', name='tensorboard')\n"
        nested = write("b", code, requires=requires, extras=("testing", "more"))
        assert "pip install 'allophone-b[more]'" in of(installed(nested), "b").advice
        required = ("allophone[torch]", *requires)
        always = write("c", code, requires=required, extras=("testing", "more"))
        assert "pip install 'allophone[torch]'" in of(installed(always), "c").advice

    def test_a_module_that_an_installed_package_lacks_needs_an_upgrade(self, installed, write):
        point = write("a", "import pluggy.of_tomorrow\n")
        assert "pip install --upgrade pluggy" in of(installed(point), "a").advice

    def test_a_module_of_its_own_that_is_not_there_needs_a_reinstallation(self, installed, write):
        point = write("a", "import written_a.lost\n")
        advice = of(installed(point), "a").advice
        assert "pip install --force-reinstall allophone-a" in advice

    def test_a_checkout_is_to_be_mended(self, installed, write, tmp_path):
        point = write("a", "x = 1\nraise OSError('no')\n", checkout=tmp_path)
        advice = of(installed(point), "a").advice
        assert advice == f"Fix {tmp_path / 'written_a' / 'hooks.py'}:2"
        lost = EntryPoint("b", "written_lost.hooks", "allophone.plugins")
        vars(lost)["dist"] = Distribution("allophone-b", checkout=tmp_path)
        assert of(installed(lost), "b").advice == f"Fix {tmp_path}"

    def test_what_its_author_did_wrong_needs_a_newer_version(self, installed, write):
        point = write("a", "x = 1\n")
        advice = of(installed(point), "a").advice
        assert "Add the line: CONTRACT = 1" in advice
        assert "pip install --upgrade allophone-a" in advice

    def test_what_the_plugin_itself_advises_comes_first(self, installed, write):
        code = (
            "from allophone.errors import UserError\n"
            "try:\n    import no_such_module\n"
            "except ImportError as error:\n"
            "    raise UserError('No licence.', hint='Ask for one.') from error\n"
        )
        broken = of(installed(write("a", code)), "a")
        assert (broken.failure, broken.advice) == ("No licence.", "Ask for one.")

    def test_of_two_that_would_do_the_last_that_was_tried_is_installed(self, installed, write):
        code = "try:\n    import no_such_first\nexcept ImportError:\n    import no_such_second\n"
        assert "pip install no_such_second" in of(installed(write("a", code)), "a").advice

    def test_anything_else_may_be_mended_by_a_reinstallation(self, installed, write):
        advice = of(installed(write("a", "1 / 0\n")), "a").advice
        assert advice == "Reinstall it: pip install --force-reinstall allophone-a"


class TestLocation:
    """A broken plugin is shown with the file and line at which it failed, and its traceback is kept."""

    def test_it_is_the_innermost_line_of_the_plugin(self, installed, write, tmp_path):
        code = "import json\n\ndef read():\n    json.loads('{')\n\nread()\n"
        broken = of(installed(write("a", code)), "a")
        assert broken.location == f"{tmp_path / 'written_a' / 'hooks.py'}:4"
        assert "json.loads('{')" in broken.traceback_text

    def test_it_is_the_line_that_cannot_be_read(self, installed, write, tmp_path):
        broken = of(installed(write("a", "x = 1\ny = = 2\n")), "a")
        assert broken.location == f"{tmp_path / 'written_a' / 'hooks.py'}:2"

    def test_it_is_the_line_of_a_hook_that_raises(self, installed, write, tmp_path):
        code = (
            "from allophone import hookimpl\nCONTRACT = 1\n"
            "@hookimpl\ndef allophone_models():\n    yield from 1 / 0\n"
        )
        broken = of(installed(write("a", code)), "a")
        assert broken.failure == "allophone_models raises ZeroDivisionError: division by zero"
        assert broken.location == f"{tmp_path / 'written_a' / 'hooks.py'}:5"

    def test_it_is_the_last_line_where_none_is_the_plugins_own(self, installed):
        def fail(message):
            raise OSError(message)

        try:
            fail("no")
        except OSError as error:
            registry = installed(a=error)
        assert of(registry, "a").location.startswith(f"{__file__}:")

    def test_a_module_that_is_not_there_has_none(self, installed):
        lost = EntryPoint("lost", "no_such_package.hooks", "allophone.plugins")
        vars(lost)["dist"] = Distribution("allophone-lost")
        broken = of(installed(lost), "lost")
        assert "no_such_package" in broken.failure
        assert broken.location is None


class TestHooks:
    """What is wrong with a hook is said in a word."""

    def test_a_misspelt_hook_is_refused_with_its_near_miss(self, installed):
        odd = of(installed(odd=plugin(modles=lambda: iter(()))), "odd")
        assert odd.failure == "allophone_modles is not a hook"
        assert "allophone_models" in odd.advice

    def test_a_hook_without_its_decorator_is_refused_with_its_line(
        self, installed, write, tmp_path
    ):
        code = "CONTRACT = 1\n\ndef allophone_models():\n    return []\n"
        odd = of(installed(write("odd", code)), "odd")
        assert odd.failure == "allophone_models is not marked as a hook"
        assert odd.location == f"{tmp_path / 'written_odd' / 'hooks.py'}:3"
        assert "@hookimpl" in odd.advice

    @pytest.mark.parametrize(
        ("returned", "said"),
        [
            (None, "allophone_models returned None; it must return or yield ModelEntry records"),
            (model("one"), "allophone_models returned a single record"),
            (3, "allophone_models returned 3; it must"),
            (
                [RecipeEntry(name="a/b", summary="x", package="p", path="x.toml")],
                "returned RecipeEntry(name='a/b'",
            ),
        ],
    )
    def test_a_hook_that_returns_something_else_is_refused(self, installed, returned, said):
        odd = of(installed(odd=plugin(models=lambda: returned)), "odd")
        assert said in odd.failure
        assert odd.location.startswith(f"{__file__}:")

    def test_hooks_with_arguments_they_do_not_have_break_only_their_plugin(self, installed):
        registry = installed(odd=plugin(models=lambda extra: [extra]), good=offering("good"))
        assert "allophone_models" in of(registry, "odd").failure
        assert "extra" in of(registry, "odd").failure
        assert "\n" not in of(registry, "odd").failure
        assert registry.find("models", "good")

    def test_a_name_that_cannot_be_one_is_named(self, installed):
        odd = of(installed(odd=plugin(models=lambda: [model("Whisper Net")])), "odd")
        assert "Invalid name 'Whisper Net': use lower-case letters" in odd.failure


def test_a_reference_that_does_not_load_names_its_distribution_and_what_to_do(installed):
    registry = installed(good=plugin(models=lambda: [model("m", config="nowhere.config:Config")]))
    with pytest.raises(
        PluginError, match=r"allophone-good 1\.0 .*nowhere\.config:Config.*No module named"
    ) as caught:
        registry.load("models", "m", "config")
    assert "pip install nowhere" in caught.value.hint


def test_references_inside_of_an_entry_load_too(installed):
    from allophone.entries import ImporterEntry

    importer = ImporterEntry(
        name="original", summary="-", importer="os.path:join", recognises="os.path:isdir"
    )
    registry = installed(good=plugin(models=lambda: [model("m", importers=(importer,))]))
    assert registry.load("models", "m", "importers.original.importer")("a", "b") == "a/b"


class TestObservers:
    def test_what_observes_is_known(self, installed):
        registry = installed(watching=plugin(train_event=lambda event: None), good=offering("good"))
        assert of(registry, "watching").observes
        assert not of(registry, "good").observes

    def test_those_that_raise_are_named_with_their_line_and_do_not_raise(self, installed):
        seen = []

        def quiet(event):
            seen.append(event)

        def loud(event):
            raise RuntimeError("disk full")

        registry = installed(loud=plugin(train_event=loud), quiet=plugin(train_event=quiet))
        (failure,) = registry.notify("happened")
        assert failure.observer == "'loud' of allophone-loud 1.0"
        assert failure.location == f"{__file__}:{loud.__code__.co_firstlineno + 1}"
        assert str(failure) == f"RuntimeError: disk full ({failure.location})"
        assert seen == ["happened"]

    def test_one_of_the_process_is_named_after_its_class(self, installed):
        class Loud:
            @hookimpl
            def allophone_train_event(self, event):
                raise RuntimeError("disk full")

        registry = installed()
        registry.hooks.register(Loud())
        (failure,) = registry.notify("happened")
        assert failure.observer.endswith("Loud")

    def test_one_may_leave_the_event_out(self, installed):
        called = []
        registry = installed(bell=plugin(train_event=lambda: called.append("ring")))
        assert registry.notify("happened") == []
        assert called == ["ring"]


def test_refs_are_checked_and_lazy():
    with pytest.raises(ValueError, match="package.module:attribute"):
        Ref("no colon")
    assert Ref("os.path:join").load()("a", "b") == "a/b"
