"""`allophone plugins`, and how plugins' own commands fail."""

from __future__ import annotations

import json
import sys
import types

import pytest
from click.testing import CliRunner

from allophone import cli
from allophone.cli import allophone
from allophone.entries import CommandEntry, EngineEntry
from allophone.errors import PluginError, UserError
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry


def plugin(**hooks):
    module = types.ModuleType("inline")
    module.CONTRACT = 1
    for name, function in hooks.items():
        setattr(module, f"allophone_{name}", hookimpl(function))
    return module


def command(name, target):
    return plugin(commands=lambda: [CommandEntry(name=name, summary="Hush.", command=target)])


def engine(name):
    entry = EngineEntry(name=name, summary="-", engine="a:b", recognises="a:c")
    return plugin(engines=lambda: [entry], train_event=lambda event: None)


@pytest.fixture
def broken():
    module = types.ModuleType("cracked")

    def allophone_models():
        raise OSError("no such disk")

    module.CONTRACT, module.allophone_models = 1, hookimpl(allophone_models)
    return module


@pytest.fixture
def run(make_default, monkeypatch):
    """run(*arguments, name=module, ...): the command line with these plugins, apart from those installed."""
    for variable in ("STRICT_PLUGINS", "DISABLE_PLUGINS", "TRACEBACK"):
        monkeypatch.delenv(f"ALLOPHONE_{variable}", raising=False)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])

    def invoked(*arguments, disabled="", **plugins):
        monkeypatch.setenv("ALLOPHONE_DISABLE_PLUGINS", disabled)
        make_default(build_registry(plugins))
        return CliRunner().invoke(allophone, arguments)

    return invoked


def test_all_that_a_plugin_offers_is_listed(run):
    shown = run("plugins", quiet=engine("onnx"), hush=command("hush", "x:y"), gone=plugin())
    assert shown.exit_code == 0, shown.output
    assert "  engines: onnx\n  observes training\n" in shown.output
    assert "  commands: hush\n" in shown.output
    assert "observes training" not in shown.output.split("hush")[1]


def test_disabled_plugins_and_conflicts_are_listed(run):
    plugins = {"off": plugin(), "one": engine("same"), "two": engine("same")}
    shown = run("plugins", disabled="off", **plugins)
    assert shown.exit_code == 1, "a conflict is to be mended"
    assert "off  off\n  disabled\n  To enable it: unset ALLOPHONE_DISABLE_PLUGINS\n" in shown.output
    assert "conflict: The engine 'same' is offered by the plugins 'one' of one" in shown.output
    assert "ALLOPHONE_DISABLE_PLUGINS=off,two" in shown.output
    alone = run("plugins", disabled="off,two", **plugins)
    assert alone.exit_code == 0


def test_machines_are_told_the_same(run, broken):
    plugins = {"off": plugin(), "one": engine("same"), "two": engine("same"), "cracked": broken}
    shown = run("plugins", "--json", disabled="off", **plugins)
    assert shown.exit_code == 1
    told = {each["name"]: each for each in json.loads(shown.output)}
    assert {name: each["state"] for name, each in told.items()} == {
        "core": "works",
        "off": "disabled",
        "one": "works",
        "two": "works",
        "cracked": "broken",
    }
    assert told["one"]["observes_training"] is True
    assert told["core"]["observes_training"] is False
    assert "plugins" in {entry["name"] for entry in told["core"]["entries"]["commands"]}
    (conflict,) = told["two"]["conflicts"]
    assert (conflict["kind"], conflict["name"]) == ("engines", "same")
    assert "ALLOPHONE_DISABLE_PLUGINS" in conflict["advice"]
    assert told["cracked"]["failure"] == "allophone_models raises OSError: no such disk"
    assert told["cracked"]["location"].startswith(f"{__file__}:")
    assert "traceback" not in told["cracked"]


@pytest.mark.parametrize("how", ["--verbose", "ALLOPHONE_TRACEBACK"])
def test_the_traceback_of_a_broken_plugin_is_shown_when_asked_for(run, broken, monkeypatch, how):
    line = 'raise OSError("no such disk")'
    short = run("plugins", cracked=broken)
    assert short.exit_code == 1
    assert line not in short.output
    assert f"  at {__file__}:" in short.output
    if how == "ALLOPHONE_TRACEBACK":
        monkeypatch.setenv(how, "1")
        assert line in run("plugins", cracked=broken).output
    else:
        assert line in run("plugins", how, cracked=broken).output
        assert "Traceback" in run("plugins", how, "--json", cracked=broken).output


def test_strict_prints_the_traceback_of_what_broke(broken, monkeypatch, capsys):
    monkeypatch.setenv("ALLOPHONE_STRICT_PLUGINS", "1")
    monkeypatch.setattr(cli, "default_registry", lambda: build_registry({"cracked": broken}))
    monkeypatch.setattr(sys, "argv", ["allophone", "recipes"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert 'raise OSError("no such disk")' in said
    assert "The plugin 'cracked' of cracked does not work" in said


def test_a_command_that_does_not_import_names_its_plugin(run):
    shown = run("hush", hush=command("hush", "no_such_package.cli:hush"))
    assert isinstance(shown.exception, PluginError)
    assert shown.exception.message.startswith("The command 'hush' of hush")
    assert "no_such_package.cli:hush raises ModuleNotFoundError" in shown.exception.message
    assert "pip install no_such_package" in shown.exception.hint


def test_a_command_that_is_something_else_names_its_plugin(run):
    shown = run("hush", hush=command("hush", "os.path:join"))
    assert isinstance(shown.exception, PluginError)
    assert "The command 'hush' of hush is <function join" in shown.exception.message


def test_help_lists_a_command_without_importing_it(run):
    shown = run("--help", hush=command("hush", "no_such_package.cli:hush"))
    assert shown.exit_code == 0
    assert "hush" in shown.output
    assert "Hush." in shown.output


def test_a_command_that_nobody_offers_may_be_in_a_broken_plugin(run, broken):
    shown = run("shout", cracked=broken)
    assert "no command 'shout'" in shown.exception.message
    assert "broken plugin: cracked" in shown.exception.hint


def test_no_voice_may_be_due_to_a_disabled_plugin(run):
    shown = run("say", "Hello.", disabled="off", off=plugin())
    assert isinstance(shown.exception, UserError)
    assert "no voice is installed" in shown.exception.message
    assert "disabled plugin: off" in shown.exception.hint


def test_no_recipes_may_be_due_to_a_broken_plugin(run, broken):
    assert "broken plugin: cracked" in run("recipes", cracked=broken).output
