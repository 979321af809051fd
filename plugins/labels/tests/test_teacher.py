"""Distances from a teacher: the extractor `teacher-distances`, whose teacher is synthetic speech of another pitch."""

from __future__ import annotations

import random

import numpy as np
import pytest

from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone.synthesis.waveform import Waveform
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.frontend import build_frontend
from allophone_labels import teacher
from allophone_labels.config import TeacherDistancesConfig
from allophone_labels.teacher import TeacherDistancesExtractor
from allophone_testing.corpus import STORY, synthetic_speech

RATE = 22050
TEXTS = [" ".join(random.Random(seed).sample(STORY.split(), 4)) for seed in range(12)]


class Teacher:
    """Says everything but digits."""

    def say(self, text: str) -> Waveform:
        if text.isdigit():
            raise UserError("It cannot say that.")
        samples = synthetic_speech(text, pitch=180.0, sample_rate=16000, seed=99)
        return Waveform(samples=samples, sample_rate=16000)


@pytest.fixture(autouse=True)
def voice(monkeypatch, tmp_path):
    """The folder of the teacher."""
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"weights")
    monkeypatch.setattr(teacher, "find", lambda place, registry: (folder, None, None))
    monkeypatch.setattr(teacher.allophone, "load", lambda place: Teacher())
    return folder


def extractor(said: dict[str, str], voice: str = "teacher") -> TeacherDistancesExtractor:
    """said: what the recording of each id says."""

    def load(utterance: Utterance) -> np.ndarray:
        text = said[utterance.id]
        return synthetic_speech(text, pitch=110.0, sample_rate=RATE, seed=len(text))

    text = TextConfig(language="en", normalize=False, phonemizer=GraphemeConfig())
    context = ExtractionContext(
        audio=MelSpec(sample_rate=RATE),
        load_audio=load,
        audio_key={"version": 1},
        frontend=lambda language: build_frontend(text, language),
        text_key={},
    )
    return TeacherDistancesExtractor(TeacherDistancesConfig(voice=voice), context)


def distances(texts: list[str], said: list[str]) -> np.ndarray:
    utterances = [
        Utterance(id=f"u{number}", audio="-", text=text) for number, text in enumerate(texts)
    ]
    found = list(extractor({f"u{n}": text for n, text in enumerate(said)}).extract(utterances))
    assert all(one.shape == () and one.dtype == np.float64 for one in found)
    return np.array(found)


def test_wrong_texts_are_further_away() -> None:
    right = distances(TEXTS, TEXTS)
    wrong = distances(TEXTS, TEXTS[1:] + TEXTS[:1])
    assert np.median(wrong) > 1.2 * np.median(right)
    assert (wrong[:, None] > right).mean() > 0.95


def test_loudness_does_not_count() -> None:
    samples = synthetic_speech(TEXTS[0], pitch=110.0, sample_rate=RATE, seed=0)
    loud, quiet = (teacher._decibels(gain * samples, RATE) for gain in (1.0, 0.2))
    assert np.abs(loud - quiet).mean() < 0.5


def test_a_text_that_cannot_be_said_has_no_distance() -> None:
    found = distances(["123", TEXTS[0]], [TEXTS[0], TEXTS[0]])
    assert np.isnan(found[0])
    assert np.isfinite(found[1])


def test_silence_has_a_distance() -> None:
    assert teacher._decibels(np.zeros(10, np.float32), RATE).shape[0] >= 1


def test_the_key_is_that_of_the_voice(voice) -> None:
    before = extractor({}).key
    assert before == extractor({}).key
    (voice / "model.onnx").write_bytes(b"other weights")
    assert extractor({}).key != before


def test_an_unknown_voice_is_an_error(monkeypatch) -> None:
    monkeypatch.undo()
    with pytest.raises(UserError, match="nowhere"):
        extractor({}, voice="nowhere")
