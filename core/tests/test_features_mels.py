"""The extractor `mels`: mels from files are checked and stored."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from allophone.audio.mel_files import write_description, write_mel
from allophone.config import resolve, write_toml
from allophone.data.manifest import Dropped
from allophone.datasets.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.datasets.loading import open_corpus
from allophone.errors import UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry
from allophone_testing.corpus import write_corpus

AUDIO = {"sample_rate": 8000, "n_fft": 256, "hop_length": 64, "win_length": 256, "n_mels": 20}


@pytest.fixture
def made(tmp_path):
    """An experiment on four recordings with mels of them: utterance k's are all k."""
    write_corpus(tmp_path / "recordings", utterances=4, sample_rate=8000)
    plain = {
        "data": {
            "directory": str(tmp_path / "data"),
            "corpora": [{"type": "table", "root": str(tmp_path / "recordings")}],
            "splits": {"valid": 0, "test": 0, "golden_test": 0},
        },
        "text": {"phonemizer": {"type": "graphemes"}},
        "audio": AUDIO,
        "features": {"waveform": {}, "mel": {"type": "mels", "directory": str(tmp_path / "mels")}},
    }
    write_toml(tmp_path / "experiment.toml", plain)
    made = resolve(tmp_path / "experiment.toml").experiment
    prepare(made, default_registry())
    write_description(tmp_path / "mels", made.audio, {})
    for number, utterance in enumerate(prepared_utterances(made)):
        write_mel(mel_file(tmp_path, utterance), mel_of(made, utterance, number))
    return made


def mel_file(tmp_path, utterance):
    return tmp_path / "mels" / f"{utterance.id}.npy"


def mel_of(made, utterance, value):
    samples = (os.path.getsize(utterance.audio) - 44) // 2
    return np.full((made.audio.n_mels, made.audio.frames(samples)), value, np.float32)


def run(made):
    return extract(made, default_registry())


def found(made, number):
    return FeatureIndex(made, default_registry()).find(prepared_utterances(made)[number])


def test_batches_hold_mels_and_recordings(made):
    assert run(made).computed["mel"] == 4
    corpus = open_corpus(made)
    vocabulary = corpus.build_vocabulary()
    (batch,) = corpus.loader("train", features=("waveform", "mel"), vocabulary=vocabulary)
    numbers = {utterance.id: n for n, utterance in enumerate(prepared_utterances(made))}
    assert len(batch) == 4
    for row, id in enumerate(batch.ids):
        frames = int(batch["mel"].lengths[row])
        assert frames == made.audio.frames(int(batch["waveform"].lengths[row]))
        assert batch["mel"].values[row, :frames].unique().tolist() == [numbers[id]]
        assert batch["mel"].values.shape[2] == made.audio.n_mels


def test_only_a_changed_mel_is_read_again(made, tmp_path):
    run(made)
    utterance = prepared_utterances(made)[1]
    write_mel(mel_file(tmp_path, utterance), mel_of(made, utterance, 7))
    assert run(made).computed == {"mel": 1, "seconds": 0, "waveform": 0}
    assert np.unique(found(made, 1).features["mel"].read()).tolist() == [7]


def test_training_needs_neither_the_mels_nor_the_recordings(made, tmp_path):
    run(made)
    before = found(made, 0).features["mel"].read().copy()
    for path in (tmp_path / "mels", tmp_path / "recordings"):
        path.rename(path.with_name(f"{path.name} elsewhere"))
    assert np.array_equal(found(made, 0).features["mel"].read(), before)
    assert len(open_corpus(made).stored) == 4


def test_mels_that_do_not_match_their_recording_are_dropped(made, tmp_path):
    missing, longer, broken, _ = prepared_utterances(made)
    mel_file(tmp_path, missing).unlink()
    whole = mel_of(made, longer, 1)
    write_mel(mel_file(tmp_path, longer), np.concatenate([whole, whole[:, :1]], axis=1))
    write_mel(mel_file(tmp_path, broken), np.full((20, 30), np.nan, np.float32))
    dropped = run(made).dropped
    assert {id: why.reason for id, why in dropped.items()} == {
        missing.id: "missing file",
        longer.id: "wrong mel length",
        broken.id: "unreadable mel",
    }
    frames = whole.shape[1]
    assert dropped[longer.id].detail == f"the mel has {frames + 1} frames, the recording {frames}"
    assert "NaN" in dropped[broken.id].detail
    assert str(mel_file(tmp_path, missing)) in dropped[missing.id].detail


def test_a_corrected_mel_is_extracted(made, tmp_path):
    first = prepared_utterances(made)[0]
    mel_file(tmp_path, first).unlink()
    run(made)
    assert isinstance(found(made, 0), Dropped)
    write_mel(mel_file(tmp_path, first), mel_of(made, first, 5))
    assert run(made).usable == 4
    assert isinstance(found(made, 0), StoredUtterance)


def test_mels_with_other_settings_are_refused_with_the_fields(made, tmp_path):
    write_description(tmp_path / "mels", evolve(made.audio, f_max=3000.0), {})
    with pytest.raises(UserError, match=r"the experiment's \[audio\]:\n  f_max: 3000.0 against"):
        run(made)


def test_a_mel_folder_must_describe_its_settings(made, tmp_path):
    (tmp_path / "mels" / "mels.toml").unlink()
    with pytest.raises(UserError, match="has no mels.toml"):
        run(made)
    assert not list(Path(made.data.directory).glob("features/mel-*/*.bin"))
