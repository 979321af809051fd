"""An installed broken plugin is reported, and the other plugins keep working."""

from __future__ import annotations

import json

import pytest

WORKS = """
from allophone import hookimpl
from allophone.entries import CommandEntry

CONTRACT = 1


@hookimpl
def allophone_commands():
    for name in ("hush", "say"):
        yield CommandEntry(name=name, summary="Whispers.", command="allophone_hushed:hush")
"""


@pytest.fixture(scope="module")
def broken(environment):
    """An environment with three plugins: one has a failing import, one has no module, one works."""
    (environment.packages / "allophone_cracked.py").write_text("import no_such_dependency\n")
    points = "[allophone.plugins]\n{0} = allophone_{0}"
    environment.describe("allophone-cracked", "1.2.3", points.format("cracked"))
    environment.describe("allophone-lost", "0.1", points.format("lost"))
    (environment.packages / "allophone_hushed.py").write_text(WORKS)
    environment.describe("allophone-hushed", "2.0", points.format("hushed"))
    return environment


def test_broken_plugins_are_listed_with_their_error_and_others_work(broken):
    listed = broken.allophone("plugins", "--json")
    plugins = {plugin["name"]: plugin for plugin in json.loads(listed.stdout)}
    assert "no_such_dependency" in plugins["cracked"]["failure"]
    assert plugins["cracked"]["version"] == "1.2.3"
    assert "allophone_lost" in plugins["lost"]["failure"]
    assert plugins["core"]["failure"] is None
    assert "griffin-lim" in {entry["name"] for entry in plugins["core"]["entries"]["vocoders"]}
    shown = broken.allophone("plugins")
    assert shown.returncode == 1
    assert f"at {broken.packages / 'allophone_cracked.py'}:1" in shown.stdout
    assert "pip install no_such_dependency" in shown.stdout
    assert "pip install --force-reinstall allophone-lost" in shown.stdout
    traced = broken.allophone("plugins", "--verbose")
    assert "import no_such_dependency" in traced.stdout


def test_other_entries_of_a_conflicting_plugin_work(broken):
    shown = broken.allophone("plugins")
    assert "conflict: The command 'say'" in shown.stdout
    assert "pip uninstall allophone-hushed, or ALLOPHONE_DISABLE_PLUGINS=hushed" in shown.stdout
    listed = broken.allophone("--help")
    assert "Whispers." in listed.stdout
    assert "Synthesize a text." in listed.stdout


def test_using_a_broken_plugin_raises_from_its_original_error(broken):
    asked = broken.allophone("config", "check", "cracked/recipe")
    assert asked.returncode == 2
    assert "'cracked', which does not work" in asked.stderr
    assert "no_such_dependency" in asked.stderr
    assert "Traceback" not in asked.stderr
    traced = broken.allophone("config", "check", "cracked/recipe", ALLOPHONE_TRACEBACK="1")
    assert "ModuleNotFoundError: No module named 'no_such_dependency'" in traced.stderr


def test_strict_mode_makes_a_broken_plugin_fatal(broken):
    listed = broken.allophone("plugins", ALLOPHONE_STRICT_PLUGINS="1")
    assert listed.returncode == 2
    assert "The plugin 'cracked' of allophone-cracked 1.2.3 does not work" in listed.stderr
    assert "import no_such_dependency\n" in listed.stderr, "the traceback is shown"


def test_a_broken_plugin_can_be_disabled(broken):
    listed = broken.allophone(
        "plugins", ALLOPHONE_STRICT_PLUGINS="1", ALLOPHONE_DISABLE_PLUGINS="cracked,lost,hushed"
    )
    assert listed.returncode == 0, listed.stderr
    assert "cracked  allophone-cracked 1.2.3\n  disabled" in listed.stdout
