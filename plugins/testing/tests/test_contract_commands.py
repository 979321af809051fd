"""The contracts of commands and observers pass for what is right, and name each mistake."""

from __future__ import annotations

import sys
import types

import click
import pytest

from allophone.entries import CommandEntry
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone_testing import CommandContract, ObserverContract


class TestCoresCommands(CommandContract):
    plugin = "core"


@click.command("hush")
def hush():
    """Say nothing."""


@click.command("greedy", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1)
def greedy(words):
    """Takes anything."""


@pytest.fixture
def command(monkeypatch):
    """command(name) runs the contract's tests on a plugin with one command of this module."""

    def check(name, test):
        module = types.ModuleType("quiet")
        module.CONTRACT = 1

        @hookimpl
        def allophone_commands():
            yield CommandEntry(name=name, summary="Quiet.", command=f"{__name__}:{name}")

        module.allophone_commands = allophone_commands
        registry = build_registry({"quiet": module})
        entries = (registry.find("commands", name),)
        contract = CommandContract()
        return {
            "click": lambda: contract.test_each_is_a_click_command(entries, registry),
            "options": lambda: contract.test_unknown_options_are_refused(entries, registry),
            "light": lambda: contract.test_help_is_light(entries),
        }[test]()

    return check


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """elsewhere(code) is the name of an importable module with that code."""

    def write(code):
        (tmp_path / "mutant_command.py").write_text(code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return CommandEntry(name="mutant", summary="x", command="mutant_command:command")

    yield write
    sys.modules.pop("mutant_command", None)


def test_a_command_that_is_right_passes(command, elsewhere):
    command("hush", "click")
    command("hush", "options")
    entry = elsewhere("import click\n@click.command()\ndef command():\n    import numpy\n")
    CommandContract().test_help_is_light((entry,))


def test_a_command_that_takes_any_option(command):
    with pytest.raises(AssertionError, match="leave options to click"):
        command("greedy", "options")


def test_help_that_imports_what_is_heavy(elsewhere):
    entry = elsewhere("import numpy\nimport click\n@click.command()\ndef command():\n    ...\n")
    with pytest.raises(AssertionError, match="`mutant --help` imports numpy"):
        CommandContract().test_help_is_light((entry,))


@pytest.fixture
def observe(tmp_path, monkeypatch):
    """observe(function) runs the contract on a plugin whose observer is that function."""

    def check(function):
        module = types.ModuleType("watcher")
        module.CONTRACT = 1

        @hookimpl
        def allophone_train_event(event):
            function(event)

        module.allophone_train_event = allophone_train_event

        class Watcher(ObserverContract):
            plugin = "watcher"

        registry = build_registry({"watcher": module})
        Watcher().test_it_takes_every_event(registry, tmp_path, monkeypatch)

    return check


def test_an_observer_that_is_right_passes(observe):
    seen = []
    observe(lambda event: seen.append((type(event).__name__, event.step)))
    assert seen.count(("RunStarted", 2)) == 1, "a resumed run begins at its checkpoint"
    assert ("RunFinished", 4) in seen


def test_an_observer_that_expects_one_kind_of_event(observe):
    with pytest.raises(AssertionError, match="does not take a RunStarted.*metrics"):
        observe(lambda event: event.metrics["loss"])


def test_an_observer_that_minds_a_resumed_run(observe):
    started = []

    def once(event):
        if type(event).__name__ == "RunStarted":
            assert not started, "it has begun already"
            started.append(event)

    with pytest.raises(AssertionError, match="begun already"):
        observe(once)


def test_an_observer_that_writes_where_it_is(observe):
    def litter(event):
        with open("events.txt", "a") as file:
            file.write(str(event.step))

    with pytest.raises(AssertionError, match=r"\['events.txt'\] into the current folder"):
        observe(litter)
