"""Listing, configuration, preparation and synthesis work without PyTorch; other commands say what to install."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from distributions import distributions

HIDDEN = ("torch", "torchaudio", "tensorboard", "librosa", "numba")
HIDING = f"""
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HIDDEN!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hide())
"""
COMMAND_LINE = f"{HIDING}\nfrom allophone.cli import main\nmain()"
ADVICE = "pip install 'allophone[torch]'"

TORCH_PLUGINS = [
    name
    for one in distributions()
    if any(line.startswith("allophone[torch]") for line in one.project["dependencies"])
    for name in one.project["entry-points"]["allophone.plugins"]
]
"""Plugins that need PyTorch and so would not be installed."""


def run(folder: Path, *code: str, disabled: list[str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if "ALLOPHONE" not in name}
    return subprocess.run(
        [sys.executable, "-c", *code],
        cwd=folder,
        env={**kept, "ALLOPHONE_DISABLE_PLUGINS": ",".join(disabled), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def allophone(folder: Path, line: str, *texts: str, disabled: list[str] = TORCH_PLUGINS) -> str:
    """The output of a command that works without PyTorch."""
    done = run(folder, COMMAND_LINE, *line.split(), *texts, disabled=disabled)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(folder: Path, line: str, *texts: str) -> str:
    """The error message of a command that needs PyTorch."""
    done = run(folder, COMMAND_LINE, *line.split(), *texts, disabled=[])
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a synthetic corpus, an experiment, and an unrelated folder."""
    folder = tmp_path_factory.mktemp("without-torch")
    corpus = (
        f"{HIDING}\nfrom pathlib import Path\nfrom allophone_testing.corpus import write_corpus\n"
    )
    made = run(folder, f"{corpus}write_corpus(Path('recordings'), utterances=8)", disabled=[])
    assert made.returncode == 0, made.stderr
    (folder / "mine.toml").write_text(
        '[text]\nphonemizer.type = "graphemes"\n\n[[data.corpora]]\ntype = "table"\nroot = "recordings"\n\n'
        "[features.phonemes]\n\n[features.waveform]\n"
    )
    (folder / "folder").mkdir()
    (folder / "texts.txt").write_text("Good morning.\n")
    return folder


def test_the_api_can_be_imported(folder):
    names = run(
        folder,
        f"{HIDING}\nimport allophone\nprint([getattr(allophone, n) for n in allophone.__all__])",
        disabled=[],
    )
    assert names.returncode == 0, names.stderr


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "say --help",
        "train --help",
        "extract --help",
        "export --help",
        "plugins",
        "config check mine.toml",
    ],
)
def test_help_and_recipes(folder, line):
    assert allophone(folder, line)


def test_model_families_can_be_listed_and_configured(folder):
    listed = json.loads(allophone(folder, "plugins --json", disabled=[]))
    assert [plugin["name"] for plugin in listed if plugin["state"] != "works"] == []
    assert set(TORCH_PLUGINS) < {plugin["name"] for plugin in listed}
    assert "vits/tiny" in allophone(folder, "recipes", disabled=[])
    assert "trainer.type" in allophone(folder, "config show vits/tiny --origins", disabled=[])


def test_a_corpus_can_be_prepared_and_extracted(folder):
    allophone(folder, "prepare mine.toml")
    said = allophone(folder, "extract mine.toml")
    assert "phonemes 8" in said
    assert "not checked: another text; PyTorch is not installed" in said


def test_doctor_reports_no_errors(folder):
    findings = {one["check"]: one for one in json.loads(allophone(folder, "doctor --json"))}
    assert {one["status"] for one in findings.values()} <= {"ok", "warning"}
    assert findings["torch"]["found"] == f"not checked: torch is not installed; {ADVICE}"
    assert findings["plugin core"]["found"].endswith("some need allophone[torch]")


def test_a_plugin_that_needs_torch_is_reported_as_broken(folder):
    done = run(folder, COMMAND_LINE, "doctor", "--json", disabled=[])
    assert done.returncode == 1
    findings = {one["check"]: one for one in json.loads(done.stdout)}
    broken = {name for name, one in findings.items() if one["status"] == "failure"}
    assert "plugin vits" in broken
    assert broken <= {f"plugin {name}" for name in TORCH_PLUGINS}
    assert all(findings[name]["advice"].endswith(ADVICE) for name in broken)


def test_new_plugin_works(folder):
    allophone(folder, "new-plugin whisper-net")
    assert (folder / "allophone-whisper-net" / "pyproject.toml").is_file()


def test_a_voice_can_be_used(folder):
    allophone(folder, "say --voice joe --out morning.wav", "Good morning.")
    samples, _ = soundfile.read(folder / "morning.wav")
    assert abs(samples).max() > 0.05
    allophone(folder, "synthesize --voice joe --list texts.txt --out spoken")
    assert (folder / "spoken" / "made.jsonl").is_file()


@pytest.mark.parametrize(
    "line",
    [
        "train vits/tiny --run runs/tiny",
        "train --run runs/tiny --resume",
        "vocode --vocoder griffin-lim --audio recordings --out vocoded",
        "import folder imported",
        "export joe --format onnx --out joe.onnx",
        "synthesize --mels --voice joe --out mels",
    ],
)
def test_commands_that_need_torch_say_what_to_install(folder, line):
    assert refused(folder, line).splitlines() == [
        "Error: This command needs the package 'torch', which is not installed.",
        ADVICE,
    ]


@pytest.mark.parametrize("voice", ["folder --out a.wav", "joe --engine torch --out a.wav"])
def test_the_torch_engine_says_what_to_install(folder, voice):
    said = refused(folder, f"say --voice {voice}", "Good morning.")
    assert (
        f"Error: The engine 'torch' of allophone {distributions()[0].version} needs the package"
        in said
    )
    assert said.splitlines()[-1] == ADVICE
