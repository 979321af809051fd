"""A third-party plugin adds a model, a corpus and a command without any change to the core."""

from __future__ import annotations

import json

import pytest
import soundfile

NAME = "whisper-net"

HOOKS = """

@hookimpl
def allophone_corpora():
    yield CorpusEntry(
        name="diary",
        summary="A recording and a text file of the same name for each day.",
        config="allophone_whisper_net.diary:DiaryConfig",
        reader="allophone_whisper_net.reading:read",
    )


@hookimpl
def allophone_commands():
    yield CommandEntry(
        name="count-words",
        summary="Count the words of a diary.",
        command="allophone_whisper_net.counting:command",
    )
"""

CONFIG = """
from attrs import frozen
from allophone.corpora.config import CorpusConfig


@frozen(kw_only=True)
class DiaryConfig(CorpusConfig):
    '''root: the folder with the diary.'''
"""

READER = """
from pathlib import Path

from allophone.data.manifest import Utterance
from allophone.errors import UserError


def read(config):
    days = sorted(Path(config.root).expanduser().glob("*.txt"))
    if not days:
        raise UserError(f"There is no diary in {config.root}.", hint="It has a .txt file a day.")
    for day in days:
        try:
            text = day.read_text("utf-8").strip()
        except UnicodeDecodeError as error:
            raise UserError(f"{day} is not UTF-8: {error}") from error
        audio = str(day.with_suffix(".wav").absolute())
        yield Utterance(id=day.stem, audio=audio, text=text, language=config.language)
"""

COMMAND = """
from pathlib import Path

import click

from allophone.errors import UserError


@click.command("count-words")
@click.argument("folder", type=click.Path(path_type=Path))
def command(folder):
    '''Count the words of the diary in FOLDER.'''
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.", hint="Name the one with the diary.")
    click.echo(sum(len(day.read_text().split()) for day in folder.glob("*.txt")))
"""

CONTRACT = """

class TestDiary(CorpusContract):
    corpus = "diary"
    utterances = {"monday": "rain.", "tuesday": "sun."}
    recording = "monday.wav"

    @classmethod
    def write_tree(cls, root):
        for day, text in cls.utterances.items():
            (root / f"{day}.txt").write_text(text)
            soundfile.write(root / f"{day}.wav", [0.0, 0.1] * 4000, 8000)
"""

EXPERIMENT = """
recipe = "whisper-net/tiny"

[data.splits]
valid = 4

[[data.corpora]]
type = "diary"
root = "diary"
"""

TRAIN_AND_SPEAK = """
from pathlib import Path
from allophone.cli import allophone
from allophone_testing.corpus import write_corpus

diary = Path("diary")
write_corpus(diary, utterances=16)
for line in (diary / "metadata.csv").read_text().splitlines():
    name, text = line.split("|")
    (diary / name).with_suffix(".txt").write_text(text)
for line in '''
    count-words diary
    prepare mine.toml
    extract mine.toml
    train mine.toml --run runs/tiny --max-steps 5 --set model.channels=16
'''.strip().splitlines():
    allophone(line.split(), standalone_mode=False)
allophone(["say", "Boats came home.", "--voice", "runs/tiny", "--out", "hello.wav"])
"""


def add_diary(project):
    """Add a corpus reader and a command to the generated plugin."""
    package = project / "src" / "allophone_whisper_net"
    for name, text in (("diary", CONFIG), ("reading", READER), ("counting", COMMAND)):
        (package / f"{name}.py").write_text(text, "utf-8")
    for path, imports, more, added in (
        (
            package / "hooks.py",
            "from allophone.entries import ",
            "from allophone.entries import CommandEntry, CorpusEntry, ",
            HOOKS,
        ),
        (
            project / "tests" / "test_contract.py",
            "from allophone_testing import ",
            "import soundfile\nfrom allophone_testing import CorpusContract, ",
            CONTRACT,
        ),
    ):
        text = path.read_text("utf-8")
        assert imports in text
        path.write_text(text.replace(imports, more) + added, "utf-8")


@pytest.fixture(scope="module")
def stranger(environment):
    """The environment with the plugin installed."""
    written = environment.allophone("new-plugin", NAME)
    assert written.returncode == 0, written.stderr
    project = environment.folder / f"allophone-{NAME}"
    add_diary(project)
    environment.install(project)
    return environment


def test_the_plugin_is_listed_with_its_entries(stranger):
    listed = stranger.allophone("plugins", "--json", ALLOPHONE_STRICT_PLUGINS="1")
    assert listed.returncode == 0, listed.stderr
    plugins = {plugin["name"]: plugin for plugin in json.loads(listed.stdout)}
    assert plugins[NAME]["distribution"] == f"allophone-{NAME}"
    offered = set(plugins[NAME]["entries"])
    assert offered == {"models", "trainers", "recipes", "corpora", "commands"}
    again = stranger.allophone("new-plugin", NAME)
    assert again.returncode == 2
    assert f"'{NAME}' is already used by the installed package allophone-{NAME}" in again.stderr


def test_the_contract_suite_passes(stranger):
    options = ["-q", "-p", "no:cacheprovider"]
    done = stranger.python("-m", "pytest", *options, f"allophone-{NAME}", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_the_command_is_available(stranger):
    assert "Count the words of a diary." in stranger.allophone("--help").stdout
    assert "diary in FOLDER" in stranger.allophone("count-words", "--help").stdout
    refused = stranger.allophone("count-words", "nowhere")
    assert refused.returncode == 2
    assert "There is no folder nowhere." in refused.stderr
    assert "Traceback" not in refused.stderr


def test_training_and_synthesis_through_the_commands(stranger):
    (stranger.folder / "mine.toml").write_text(EXPERIMENT, "utf-8")
    done = stranger.python("-c", TRAIN_AND_SPEAK, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split()[0].isdigit(), "the first line counts the words"
    run = stranger.folder / "runs" / "tiny"
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert max(line["step"] for line in steps) == 5
    assert (run / "checkpoints" / "step-00000005" / "model.safetensors").is_file()
    samples, rate = soundfile.read(stranger.folder / "hello.wav")
    assert rate == 22050
    assert 0.2 < len(samples) / rate < 10
    assert abs(samples).max() > 0
