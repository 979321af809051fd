"""A plugin that nobody here knows trains and speaks, with no change in the core."""

from __future__ import annotations

import json

import pytest
import soundfile

NAME = "whisper-net"

TRAIN_AND_SPEAK = """
import sys
from pathlib import Path
from allophone.cli import allophone
from allophone.testing.corpus import write_corpus

write_corpus(Path("recordings"), utterances=16)
for line in '''
    prepare whisper-net/tiny --root recordings --set data.splits.valid=4
    extract whisper-net/tiny
    train whisper-net/tiny --run runs/tiny --max-steps 5 --set model.channels=16 --set data.splits.valid=4
'''.strip().splitlines():
    allophone(line.split(), standalone_mode=False)
allophone(["say", "Boats came home.", "--voice", "runs/tiny", "--out", "hello.wav"])
"""


@pytest.fixture(scope="module")
def stranger(environment):
    """The environment with the new plugin installed in it."""
    written = environment.allophone("new-plugin", NAME)
    assert written.returncode == 0, written.stderr
    environment.install(environment.folder / f"allophone-{NAME}")
    return environment


def test_it_is_listed_with_what_it_offers(stranger):
    listed = stranger.allophone("plugins", "--json", ALLOPHONE_STRICT_PLUGINS="1")
    assert listed.returncode == 0, listed.stderr
    plugins = {plugin["name"]: plugin for plugin in json.loads(listed.stdout)}
    assert plugins[NAME]["distribution"] == f"allophone-{NAME}"
    assert set(plugins[NAME]["entries"]) == {"models", "trainers", "recipes"}
    again = stranger.allophone("new-plugin", NAME)
    assert again.returncode == 2
    assert f"'{NAME}' is taken: allophone-{NAME}" in again.stderr


def test_it_passes_its_own_contract_tests(stranger):
    options = ["-q", "-p", "no:cacheprovider"]
    done = stranger.python("-m", "pytest", *options, f"allophone-{NAME}", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


def test_it_trains_and_speaks_through_the_commands(stranger):
    done = stranger.python("-c", TRAIN_AND_SPEAK, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    run = stranger.folder / "runs" / "tiny"
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert max(line["step"] for line in steps) == 5
    assert (run / "checkpoints" / "step-00000005" / "model.safetensors").is_file()
    samples, rate = soundfile.read(stranger.folder / "hello.wav")
    assert rate == 22050
    assert 0.2 < len(samples) / rate < 10
    assert abs(samples).max() > 0
