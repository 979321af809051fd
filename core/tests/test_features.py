"""Feature extractors."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone.features.config import PhonemesConfig, WaveformConfig
from allophone.features.phonemes import PhonemesExtractor
from allophone.features.protocol import ExtractionContext
from allophone.features.recordings import (
    RecordingReader,
    SecondsExtractor,
    WaveformExtractor,
)
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.frontend import TextFrontend, build_frontend
from allophone.text.normalization import clean_text

SPEC = MelSpec(sample_rate=16000, n_fft=512, hop_length=128, win_length=512)
RATE = SPEC.sample_rate


def make_context(spec=SPEC, trim_db=None, phonemizer=None):
    recordings = RecordingReader(sample_rate=spec.sample_rate, trim_db=trim_db)
    text = TextConfig(phonemizer=phonemizer or GraphemeConfig())
    return ExtractionContext(
        audio=spec,
        load_audio=recordings,
        audio_key=recordings.key,
        frontend=lambda language: build_frontend(text, language),
        text_key={"phonemizer": repr(text.phonemizer)},
    )


class ToyPhonemizer:
    """Spells with the language before the text; knows English and German."""

    def phonemize(self, texts, language):
        if language not in ("en-us", "de"):
            raise UserError(f"There is no language '{language}'.")
        return [[language, *text] if text else [] for text in texts]


def toy_frontend(language):
    return TextFrontend(
        normalizer=clean_text, phonemizer=ToyPhonemizer(), language=language or "en-us"
    )


@pytest.fixture
def tone(tmp_path):
    """A second of 200 Hz at 16 bits between two half seconds of silence."""
    samples = np.zeros(2 * RATE)
    samples[RATE // 2 : 3 * RATE // 2] = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    path = tmp_path / "tone.wav"
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return Utterance(id="tone", audio=str(path), text="Tone")


def only(extractor, *utterances):
    results = list(extractor.extract(utterances))
    assert len(results) == len(utterances)
    return results[0] if len(results) == 1 else results


def test_a_waveform_is_the_recording_sample_for_sample(tone):
    waveform = only(WaveformExtractor(WaveformConfig(), make_context()), tone)
    assert waveform.dtype == np.float32
    assert np.array_equal(waveform * 32768, soundfile.read(tone.audio, dtype="int16")[0])


def test_a_waveform_is_cut_trimmed_and_resampled(tone):
    part = evolve(tone, start=0.75, end=1.25)
    assert len(only(WaveformExtractor(WaveformConfig(), make_context()), part)) == RATE // 2
    trimmed = only(WaveformExtractor(WaveformConfig(), make_context(trim_db=40)), tone)
    assert RATE <= len(trimmed) < 1.2 * RATE
    half = evolve(SPEC, sample_rate=8000)
    assert len(only(WaveformExtractor(WaveformConfig(), make_context(half)), tone)) == RATE


def test_seconds_are_measured_after_trimming(tone):
    assert float(only(SecondsExtractor(make_context()), tone)) == 2.0
    assert float(only(SecondsExtractor(make_context()), evolve(tone, start=0.5))) == 1.5
    trimmed = float(only(SecondsExtractor(make_context(trim_db=40)), tone))
    assert 1 <= trimmed < 1.2


def test_unreadable_recordings_are_dropped(tone, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF....WAVE")
    broken = evolve(tone, id="broken", audio=str(tmp_path / "broken.wav"))
    good, bad = only(SecondsExtractor(make_context()), tone, broken)
    assert float(good) == 2.0
    assert bad.reason == "unreadable audio"
    assert "broken.wav" in bad.detail


def test_a_recording_is_read_once_and_conversions_are_counted(tone, tmp_path):
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.full((8000, 2), 0.1), 8000)
    reader = RecordingReader(sample_rate=RATE, trim_db=None)
    utterance = evolve(tone, id="stereo", audio=str(stereo))
    first = reader(utterance)
    stereo.unlink()
    assert reader(utterance) is first
    assert dict(reader.notes) == {
        "mixed 2 channels into one": 1,
        "resampled from 8000 to 16000 Hz": 1,
    }
    reader.forget(utterance)
    with pytest.raises(UserError):
        reader(utterance)


def test_phonemes_use_the_language_of_each_utterance(tone):
    english = evolve(tone, id="en", text="Two cats.")
    german = evolve(tone, id="de", text="Zwei Katzen.", language="de")
    context = evolve(make_context(), frontend=toy_frontend)
    extractor = PhonemesExtractor(PhonemesConfig(), context)
    results = only(extractor, german, english, evolve(english, id="again"))
    assert ["".join(symbols) for symbols in results] == [
        "deZwei Katzen.",
        "en-usTwo cats.",
        "en-usTwo cats.",
    ]
    assert results[0].dtype.kind == "U"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty text"),
        ("  ... !", "empty text"),
        ("a [[b", "unreadable text"),
    ],
)
def test_only_the_text_without_phonemes_is_dropped(tone, text, reason):
    extractor = PhonemesExtractor(PhonemesConfig(), make_context())
    bad, good = only(extractor, evolve(tone, id="bad", text=text), tone)
    assert bad.reason == reason
    assert "".join(good) == "tone"


def test_an_unsupported_language_is_an_error(tone):
    extractor = PhonemesExtractor(PhonemesConfig(), evolve(make_context(), frontend=toy_frontend))
    with pytest.raises(UserError, match="xyzzy"):
        list(extractor.extract([evolve(tone, language="xyzzy")]))


def test_keys_change_with_the_settings_that_affect_the_result():
    others = [
        evolve(SPEC, hop_length=64),
        evolve(SPEC, sample_rate=8000),
        evolve(SPEC, n_mels=40),
    ]

    def keys(build):
        return [build(make_context(spec)).key for spec in (SPEC, *others)]

    first, hop, rate, mels = keys(lambda context: WaveformExtractor(WaveformConfig(), context))
    assert hop == mels == first != rate
    assert (
        WaveformExtractor(WaveformConfig(), make_context(trim_db=30)).key
        != WaveformExtractor(WaveformConfig(), make_context()).key
    )
    assert (
        PhonemesExtractor(
            PhonemesConfig(), make_context(phonemizer=GraphemeConfig(lowercase=False))
        ).key
        != PhonemesExtractor(PhonemesConfig(), make_context()).key
    )
