"""The notebooks are as tools/notebooks.py writes them, and run: tiny recipes, and two steps of training.

They are run without Jupyter, which would be twenty packages more: cell by cell as Python, lines with `!` as commands.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import types
from pathlib import Path

import notebooks
import pytest
import soundfile
from click.testing import CliRunner

from allophone.cli import allophone as command_line

PAGES = notebooks.notebooks()

each = pytest.mark.parametrize("name", PAGES)


def test_the_files_are_as_the_program_writes_them():
    written = {path.stem: path.read_text("utf-8") for path in notebooks.FOLDER.glob("*.ipynb")}
    assert written == {name: notebooks.as_json(cells) for name, cells in PAGES.items()}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """The recordings that the first cells make; all notebooks make the same."""
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        cells = [text for kind, text in PAGES["vits"] if kind == "code" and "TEXTS =" in text]
        exec("\n".join(cells), {})
    assert soundfile.info(folder / "recordings" / "00.wav").duration > 1
    return folder / "recordings"


class Audio:
    """Stands in for IPython's: whatever is to be heard must be sound."""

    heard: list[float] = []  # noqa: RUF012

    def __init__(self, data=None, *, filename=None, rate=None):
        if filename is None:
            assert data.ndim == 1
            self.heard.append(len(data) / rate)
        else:
            self.heard.append(soundfile.info(filename).duration)


def run(text, names):
    """Run a cell; `{...}` in a command is a Python expression."""
    for line in re.split(r"^(!.*)$", text, flags=re.MULTILINE):
        if line.startswith("!allophone "):
            filled = re.sub(r"\{(.*?)\}", lambda found: str(eval(found[1], names)), line[11:])
            words = shlex.split(filled)
            if words[0] == "train":
                words += ["--devices", "cpu", "--set", "data.batching.workers=0"]
                words += ["--set", "runtime.samples=0"]
            result = CliRunner().invoke(command_line, words)
            assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        else:
            exec(line, names)


@each
def test_it_runs(name, recordings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(recordings, "recordings")
    display = types.ModuleType("IPython.display")
    display.Audio = Audio
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(Audio, "heard", [])
    names: dict[str, object] = {}
    notebook = json.loads((notebooks.FOLDER / f"{name}.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            run(re.sub(r"^STEPS = \d+", "STEPS = 2", "".join(cell["source"])), names)
    assert len(Audio.heard) >= 2
    assert all(seconds > 0.02 for seconds in Audio.heard)
    assert Path("runs").is_dir()
