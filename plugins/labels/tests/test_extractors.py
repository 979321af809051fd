"""Phones and durations, as the extractors make them of label files."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Dropped, Utterance
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone.features.recordings import RecordingReader
from allophone_labels.config import DurationsConfig, PhonesConfig
from allophone_labels.extractors import DurationsExtractor, PhonesExtractor

SPEC = MelSpec(sample_rate=16000, n_fft=512, hop_length=128, win_length=512)
RATE = SPEC.sample_rate


def make_context(spec=SPEC, trim_db=None):
    recordings = RecordingReader(sample_rate=spec.sample_rate, trim_db=trim_db)
    return ExtractionContext(
        audio=spec,
        load_audio=recordings,
        audio_key=recordings.key,
        frontend=lambda language: pytest.fail("labels need no text"),
        text_key={},
    )


def tone(samples):
    return 0.5 * np.sin(np.arange(samples) / 10)


def only(extractor, *utterances):
    results = list(extractor.extract(utterances))
    assert len(results) == len(utterances)
    return results[0] if len(utterances) == 1 else results


@pytest.fixture
def labelled(tmp_path):
    """Two seconds of a tone, and labels that say otherwise."""
    soundfile.write(tmp_path / "tone.wav", tone(2 * RATE), RATE)
    path = tmp_path / "tone.lab"
    path.write_text("separator ;\n#\n0.5 125 pau\n0.502 125 t\n1.5 125 oo\n1.98 125 pau\n")
    return Utterance(id="tone", audio=str(tmp_path / "tone.wav"), text="Tone", labels=str(path))


def test_phones_and_their_durations(labelled):
    context = make_context()
    phones = only(PhonesExtractor(PhonesConfig(), context), labelled)
    durations = only(DurationsExtractor(DurationsConfig(), context), labelled)
    assert phones.tolist() == ["pau", "t", "oo", "pau"]
    # 125 frames a second: 62.5, 62.75, 187.5, and the last one to the end at 250.
    assert durations.tolist() == [62, 1, 125, 62]
    assert durations.sum() == SPEC.frames(2 * RATE)


def test_labels_that_run_past_the_recording_end_with_it(labelled):
    cut = DurationsExtractor(DurationsConfig(), make_context())
    soundfile.write(labelled.audio, tone(RATE), RATE)
    durations = only(cut, labelled)
    assert durations.tolist() == [62, 1, 62, 0]


def test_utterances_without_labels_are_dropped(labelled, tmp_path):
    (tmp_path / "broken.lab").write_text("#\n0.5 125\n")
    extractor = PhonesExtractor(PhonesConfig(), make_context())
    results = only(
        extractor,
        evolve(labelled, labels=None),
        evolve(labelled, start=0.5),
        evolve(labelled, labels=str(tmp_path / "broken.lab")),
    )
    assert all(isinstance(result, Dropped) for result in results)
    assert [result.reason for result in results] == ["no labels", "no labels", "unreadable labels"]


def test_durations_and_trimming_exclude_each_other():
    with pytest.raises(UserError, match=r"data\.trim_db"):
        DurationsExtractor(DurationsConfig(), make_context(trim_db=30))


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("seconds", [1.2, 1.5, 2.0])
def test_durations_add_up_to_the_frames_of_the_recording(tmp_path, center, seconds):
    spec = MelSpec(sample_rate=16000, n_fft=512, hop_length=128, win_length=512, center=center)
    (tmp_path / "a.lab").write_text(
        "#\n0.25 0 sil\n0.5 0 AA1\n0.75 0 sp\n1 0 <eps>\n1.5 0 ʃ\n", "utf-8"
    )
    soundfile.write(tmp_path / "a.wav", tone(int(16000 * seconds)), 16000)
    utterance = Utterance(
        id="a", audio=str(tmp_path / "a.wav"), text="", labels=str(tmp_path / "a.lab")
    )
    context = make_context(spec)
    (phones,) = PhonesExtractor(PhonesConfig(silence="SIL"), context).extract([utterance])
    (durations,) = DurationsExtractor(DurationsConfig(), context).extract([utterance])
    assert phones.tolist() == ["SIL", "AA1", "SIL", "ʃ"]
    assert durations.sum() == spec.frames(int(16000 * seconds))
    # Ends are at 31.25, 62.5 and 125 hops, and centres half a hop after the beginning of each or at it.
    centres = np.arange(200) + (0 if center else 0.5)
    for end, found in zip((31.25, 62.5, 125), durations.cumsum()[:3], strict=True):
        assert found in ((centres < end).sum(), (centres <= end).sum())
