"""What an earlier version wrote is read by this one: a voice folder, a run, a configuration (docs/stability.md)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from write_format import SEED, TEXT, corpus_for, run

import allophone
from allophone.config import load_experiment, resolve

FORMATS = sorted((Path(__file__).parent / "data").glob("format-*"))

each_format = pytest.mark.parametrize("kept", FORMATS, ids=lambda path: path.name)


@pytest.fixture(scope="module", params=FORMATS, ids=lambda path: path.name)
def prepared(request):
    """The kept folder, and a working folder with its corpus."""
    with corpus_for(request.param / "experiment.toml") as folder:
        yield request.param, folder


def same_audio(samples: np.ndarray, stored: np.ndarray) -> None:
    """The samples are those that were stored as 16 bits, within the rounding of another PyTorch."""
    expected = stored.astype(np.float32) / 32767
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples, expected, atol=2e-4)


def test_the_first_format_is_kept():
    assert "format-1" in [path.name for path in FORMATS]


@each_format
@pytest.mark.parametrize("place", ["voice", "run", "run/checkpoints/step-00000004"])
def test_it_speaks_as_it_did(kept, place):
    voice = allophone.load(kept / place)
    said = np.load(kept / "said.npz")
    assert list(said) == list(voice.speakers) == ["speaker-0", "speaker-1"]
    for speaker in voice.speakers:
        same_audio(voice.say(TEXT, speaker=speaker, seed=SEED).samples, said[speaker])


@each_format
def test_the_samples_tell_voices_apart(kept):
    voice = allophone.load(kept / "voice")
    said = np.load(kept / "said.npz")["speaker-0"]
    with pytest.raises(AssertionError):
        same_audio(voice.say(TEXT, speaker="speaker-0", seed=SEED + 1).samples, said)


@each_format
def test_its_configuration_means_what_it_meant(kept):
    written = load_experiment(kept / "run" / "config.toml")
    assert resolve(str(kept / "experiment.toml")).experiment == written


def test_the_run_is_resumed(prepared):
    kept, folder = prepared
    shutil.copytree(kept / "run", folder / "resumed")
    run("train", "--run", "resumed", "--resume", "--max-steps", "6")
    assert (folder / "resumed" / "checkpoints" / "step-00000006" / "state.pt").is_file()
    lines = (folder / "resumed" / "metrics.jsonl").read_text("utf-8").splitlines()
    before = (kept / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert lines[: len(before)] == before
    added = [json.loads(line) for line in lines[len(before) :]]
    assert {line["step"] for line in added} == {5, 6}
    assert all(np.isfinite(line["generator_loss"]) for line in added if "generator_loss" in line)


def test_another_run_begins_with_its_weights(prepared):
    kept, folder = prepared
    beginning = ("--finetune", kept / "run", "--max-steps", "1")
    run("train", kept / "experiment.toml", "--run", "tuned", *beginning)
    report = json.loads((folder / "tuned" / "finetune.json").read_text("utf-8"))
    assert len(report["taken"]) > 100
    assert not any(report[name] for name in ("adapted", "grown", "skipped", "new", "symbols"))
