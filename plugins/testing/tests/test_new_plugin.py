"""`allophone new-plugin` writes a whole plugin, or nothing; that it trains and speaks is tested in tests/."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
from click.testing import CliRunner

from allophone.errors import UserError
from allophone_testing.new_plugin import command
from allophone_testing.templates import write_plugin


def test_a_plugin_is_written_under_its_name(tmp_path):
    folder = write_plugin("whisper-net", tmp_path)
    assert folder == tmp_path / "allophone-whisper-net"
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "allophone-whisper-net"
    major, minor, *_ = map(int, version("allophone").split("."))
    bounds = f">={major}.{minor},<" + (f"{major + 1}" if major else f"0.{minor + 1}")
    assert f"allophone[torch]{bounds}" in project["dependencies"]
    assert project["optional-dependencies"] == {"testing": [f"allophone-testing{bounds}"]}
    points = project["entry-points"]["allophone.plugins"]
    assert points == {"whisper-net": "allophone_whisper_net.hooks"}
    assert (folder / "src/allophone_whisper_net/hooks.py").is_file()
    recipe = tomllib.loads(
        (folder / "src/allophone_whisper_net/recipes/tiny.toml").read_text("utf-8")
    )
    assert recipe["model"]["type"] == recipe["trainer"]["type"] == "whisper-net"


def test_nothing_of_the_templates_is_left_over(tmp_path):
    folder = write_plugin("mine", tmp_path)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 10
    for path in files:
        assert path.suffix != ".template"
        assert "$" not in path.read_text("utf-8"), path
        if path.suffix == ".py":
            compile(path.read_text("utf-8"), str(path), "exec")


@pytest.mark.parametrize("check", [["check", "--select=E,F,W,I,B,UP,RUF"], ["format", "--check"]])
def test_what_is_written_is_tidy(tmp_path, check):
    pytest.importorskip("ruff", reason="the check needs ruff, the core does not")
    folder = write_plugin("mine", tmp_path)
    options = ["--isolated", "--no-cache", "--line-length=100", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *check, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["", "Mine", "my_net", "my--net", "-net", "net-", "1net", "a/b", "ünet", "net\n", ".."]
)
def test_what_cannot_be_a_name_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="cannot be the name of a plugin") as caught:
        write_plugin(name, tmp_path)
    assert "whisper-net" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_the_prefix_of_all_plugins_is_not_doubled(tmp_path):
    with pytest.raises(UserError) as caught:
        write_plugin("allophone-mine", tmp_path)
    assert "The plugin 'mine' comes in the package 'allophone-mine'" in caught.value.hint


def test_an_existing_folder_is_left_alone(tmp_path):
    there = tmp_path / "allophone-mine"
    there.mkdir()
    (there / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        write_plugin("mine", tmp_path)
    assert [path.name for path in there.iterdir()] == ["precious.txt"]


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("allophone_testing.templates.Template.substitute", fail)
    with pytest.raises(OSError, match="disk full"):
        write_plugin("mine", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_to_type_next(tmp_path):
    shown = CliRunner().invoke(command, ["mine", "--into", str(tmp_path / "new place")])
    assert shown.exit_code == 0, shown.output
    folder = tmp_path / "new place" / "allophone-mine"
    assert f"pip install -e '{folder}[testing]'" in shown.output
    assert f"pytest '{folder}'" in shown.output
    assert "allophone prepare mine/tiny --root" in shown.output


@pytest.mark.parametrize("name", ["core", "griffin-lim"])
def test_a_name_that_is_taken_is_refused(tmp_path, name):
    result = CliRunner().invoke(command, [name, "--into", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert "already used by the installed package allophone" in result.exception.message
    assert not list(tmp_path.iterdir())
