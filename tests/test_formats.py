"""Voice folders, runs and configurations written by earlier versions can be read (docs/stability.md)."""

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
    """The stored fixtures, and a working folder with their corpus."""
    with corpus_for(request.param / "experiment.toml") as folder:
        yield request.param, folder


def same_audio(samples: np.ndarray, stored: np.ndarray) -> None:
    """Compare with samples stored in 16 bits, within the rounding of other versions of PyTorch."""
    expected = stored.astype(np.float32) / 32767
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples, expected, atol=2e-4)


def test_fixtures_of_format_1_exist():
    assert "format-1" in [path.name for path in FORMATS]


@each_format
@pytest.mark.parametrize("place", ["voice", "run", "run/checkpoints/step-00000004"])
def test_samples_are_unchanged(kept, place):
    voice = allophone.load(kept / place)
    said = np.load(kept / "said.npz")
    assert list(said) == list(voice.speakers) == ["speaker-0", "speaker-1"]
    for speaker in voice.speakers:
        same_audio(voice.say(TEXT, speaker=speaker, seed=SEED).samples, said[speaker])


@each_format
def test_samples_differ_between_speakers(kept):
    voice = allophone.load(kept / "voice")
    said = np.load(kept / "said.npz")["speaker-0"]
    with pytest.raises(AssertionError):
        same_audio(voice.say(TEXT, speaker="speaker-0", seed=SEED + 1).samples, said)


@each_format
def test_configurations_resolve_to_the_same_values(kept):
    written = load_experiment(kept / "run" / "config.toml")
    assert resolve(str(kept / "experiment.toml")).experiment == written


def test_the_run_can_be_resumed(prepared):
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


def test_the_run_can_be_fine_tuned_from(prepared):
    kept, folder = prepared
    beginning = ("--finetune", kept / "run", "--max-steps", "1")
    run("train", kept / "experiment.toml", "--run", "tuned", *beginning)
    report = json.loads((folder / "tuned" / "finetune.json").read_text("utf-8"))
    assert len(report["taken"]) > 100
    assert not any(report[name] for name in ("adapted", "grown", "skipped", "new", "symbols"))
