"""The extractors of F0 and energy, on a tone. N samples, F frames."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Utterance
from allophone.features.protocol import ExtractionContext
from allophone.features.recordings import RecordingReader
from allophone_prosody.config import EnergyConfig, F0Config
from allophone_prosody.energy import EnergyExtractor, frame_energy
from allophone_prosody.f0 import F0Extractor
from allophone_testing.light import heavy_imports

SPEC = MelSpec(sample_rate=16000, n_fft=512, hop_length=128, win_length=512)
RATE = SPEC.sample_rate


def make_context(spec=SPEC):
    recordings = RecordingReader(sample_rate=spec.sample_rate, trim_db=None)
    return ExtractionContext(
        audio=spec,
        load_audio=recordings,
        audio_key=recordings.key,
        frontend=lambda language: pytest.fail("prosody reads no text"),
        text_key={},
    )


@pytest.fixture
def tone(tmp_path):
    """A second of 200 Hz between two half seconds of silence."""
    samples = np.zeros(2 * RATE)
    samples[RATE // 2 : 3 * RATE // 2] = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    path = tmp_path / "tone.wav"
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return Utterance(id="tone", audio=str(path), text="Tone")


def test_f0_of_a_tone(tone):
    (f0,) = F0Extractor(F0Config(), make_context()).extract([tone])
    assert len(f0) == SPEC.frames(2 * RATE)
    assert f0[len(f0) // 2] == pytest.approx(200, abs=0.5)
    assert f0[5] == 0


def test_f0_uses_the_settings_of_the_table(tone, monkeypatch):
    asked = {}

    def record(samples, spec, **settings):
        asked.update(settings, samples=samples, spec=spec)
        return np.full(spec.frames(len(samples)), 200, np.float32)

    monkeypatch.setattr("allophone_prosody.f0.fundamental_frequency", record)
    context = make_context()
    list(F0Extractor(F0Config(method="dio", f_max=400), context).extract([tone]))
    assert asked.pop("samples") is context.load_audio(tone)
    assert asked == {"spec": SPEC, "method": "dio", "f_min": 65.0, "f_max": 400}


def test_energy_has_one_value_per_frame(tone):
    context = make_context()
    (energy,) = EnergyExtractor(EnergyConfig(), context).extract([tone])
    samples = context.load_audio(tone)
    assert len(energy) == SPEC.frames(len(samples))
    assert np.array_equal(energy, frame_energy(samples, SPEC))
    assert energy[len(energy) // 2] > 10 * energy[5]


@pytest.mark.parametrize("power", [1, 2])
def test_energy_is_the_norm_of_the_magnitudes(power: int):
    spec = evolve(SPEC, power=power, magnitude_epsilon=0.0, padding="zeros")
    samples = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    padded = np.pad(samples.astype(np.float64), spec.pad_length)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    starts = range(0, len(padded) - 511, spec.hop_length)
    frames = np.stack([padded[start : start + 512] * window for start in starts])
    expected = np.linalg.norm(np.fft.rfft(frames), axis=1)
    energy = frame_energy(samples, spec)
    assert energy.dtype == np.float32
    np.testing.assert_allclose(energy, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("extractor", "config"), [(F0Extractor, F0Config()), (EnergyExtractor, EnergyConfig())]
)
def test_keys_change_with_what_decides_the_result(extractor, config):
    key = extractor(config, make_context()).key
    assert extractor(config, make_context(evolve(SPEC, n_mels=40))).key == key
    assert extractor(config, make_context(evolve(SPEC, hop_length=64))).key != key
    assert extractor(config, make_context(evolve(SPEC, sample_rate=8000))).key != key


def test_the_key_of_f0_has_its_settings():
    context = make_context()
    assert F0Extractor(F0Config(f_min=80), context).key != F0Extractor(F0Config(), context).key


def test_an_up_to_date_extraction_does_not_import_torch():
    heavy = heavy_imports("import allophone_prosody.f0, allophone_prosody.energy")
    assert set(heavy) == {"numpy"}
