"""Metrics that need no model, on speech of which the score is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import soxr
from scipy.fft import dct

from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import (
    F0Config,
    McdConfig,
    PausesConfig,
    SpeakingRateConfig,
    SpeedConfig,
)
from allophone_evaluate.metrics.cepstra import N_COEFFICIENTS, cosine_transform
from allophone_evaluate.metrics.f0 import F0Distance, compare_pitch
from allophone_evaluate.metrics.mcd import MelCepstralDistortion, distortion
from allophone_evaluate.metrics.pauses import Pauses
from allophone_evaluate.metrics.speaking_rate import SpeakingRate
from allophone_evaluate.metrics.speed import Speed
from allophone_evaluate.settings import AUDIO
from allophone_testing.corpus import synthetic_speech

RATE = 16000
CONTEXT = MetricContext(audio=AUDIO)
MCD = MelCepstralDistortion(McdConfig(), CONTEXT)
F0 = F0Distance(F0Config(), CONTEXT)


def saying(text="the sun rose over a sea.", *, pitch=110.0, seed=0):
    return synthetic_speech(text, pitch=pitch, sample_rate=RATE, seed=seed)


def scores(metric, samples, reference=None, **facts):
    speech = SynthesizedSpeech(
        id="one",
        samples=np.float32(samples),
        sample_rate=RATE,
        reference=None if reference is None else np.float32(reference),
        **facts,
    )
    return metric.score([speech])[0]


def glide(start, end, *, seconds=1.0):
    """Twenty harmonics whose frequency changes evenly."""
    frequency = np.linspace(start, end, int(seconds * RATE))
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    return 0.05 * sum(np.sin(number * phase) for number in range(1, 21))


def later(samples, seconds=0.25):
    return np.concatenate([np.zeros(int(seconds * RATE)), samples])


def noisy(samples, amount):
    noise = np.random.default_rng(0).standard_normal(len(samples))
    return samples + amount * samples.std() * noise


def test_mcd_grows_from_identical_audio_to_noise_and_to_other_words():
    recorded = saying()
    assert scores(MCD, recorded, recorded) == {"mcd": 0}
    assert scores(MCD, 0.2 * recorded, recorded)["mcd"] == pytest.approx(0, abs=0.01)
    assert scores(MCD, later(recorded), recorded)["mcd"] < 0.5
    found = [scores(MCD, noisy(recorded, amount), recorded)["mcd"] for amount in (0.03, 0.3, 3)]
    assert found == sorted(found)
    assert found[0] > 1
    same_words = scores(MCD, saying(seed=1), recorded)["mcd"]
    assert scores(MCD, saying("fish with boats, home."), recorded)["mcd"] > same_words + 1
    assert math.isnan(scores(MCD, np.zeros(RATE), recorded)["mcd"])


def test_mcd_is_what_the_definition_says():
    bands = (np.arange(80) + 0.5) / 80
    flat, tilted = np.zeros((5, 80)), np.tile(6 * np.cos(np.pi * bands), (5, 1))
    # In natural logarithms the coefficient is 6 * ln 10 / 20.
    expected = 10 / math.log(10) * math.sqrt(2 * (6 * math.log(10) / 20) ** 2)
    assert distortion(cosine_transform(flat), cosine_transform(tilted)) == pytest.approx(expected)


def test_cepstra_are_a_cosine_transform():
    log_mel = np.random.default_rng(0).normal(size=(4, 80))
    assert cosine_transform(log_mel) == pytest.approx(dct(log_mel)[:, 1 : N_COEFFICIENTS + 1] / 80)


def test_f0_of_speech_that_is_a_tenth_higher():
    recorded = saying()
    assert scores(F0, recorded, recorded) == {
        "f0_rmse": 0,
        "f0_correlation": pytest.approx(1),
        "voicing_error": 0,
    }
    assert scores(F0, saying(pitch=121.0), recorded)["f0_rmse"] == pytest.approx(11, abs=3)


def test_f0_of_another_speaker_and_of_shifted_speech():
    recorded = saying()
    shifted = scores(F0, later(recorded), recorded)
    other = scores(F0, saying(pitch=180.0), recorded)
    assert shifted["f0_rmse"] < 3
    assert other["f0_rmse"] > 40
    assert shifted["voicing_error"] < other["voicing_error"] + 5 < 30


def test_f0_of_noise_has_a_voicing_error_alone():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    found = scores(F0, noise, glide(110, 140))
    assert found["voicing_error"] > 90
    assert math.isnan(scores(F0, np.zeros(RATE), glide(110, 140))["voicing_error"])


def test_pitch_is_compared_where_both_are_voiced():
    spoken, recorded = np.array([0, 100, 110, 120, 0, 0]), np.array([90, 104, 114, 124, 0, 0])
    assert compare_pitch(spoken, recorded) == {
        "f0_rmse": pytest.approx(4),
        "f0_correlation": pytest.approx(1),
        "voicing_error": pytest.approx(100 / 6),
    }
    monotonous = compare_pitch(np.full(4, 100), np.array([90, 100, 110, 120]))
    assert math.isnan(monotonous["f0_correlation"])
    assert math.isfinite(monotonous["f0_rmse"])
    assert math.isnan(compare_pitch(np.array([100, 0]), np.array([100, 0]))["f0_rmse"])


def test_speech_at_half_the_speed_has_half_the_rate():
    rate = SpeakingRate(SpeakingRateConfig(), CONTEXT)
    text, samples = "the sun rose over a sea.", saying()
    normal = scores(rate, samples, text=text)["speaking_rate"]
    slow = scores(rate, soxr.resample(samples, RATE, 2 * RATE), text=text)["speaking_rate"]
    assert slow == pytest.approx(normal / 2, rel=0.05)
    assert scores(rate, later(samples), text=text)["speaking_rate"] == pytest.approx(
        normal, rel=0.02
    )
    exact = scores(rate, glide(100, 100, seconds=2.0), text="ten letters!")["speaking_rate"]
    assert exact == pytest.approx(5)
    assert math.isnan(scores(rate, np.zeros(RATE), text=text)["speaking_rate"])
    assert math.isnan(scores(rate, samples, text="...")["speaking_rate"])


def test_pauses_are_counted_and_measured():
    pauses = Pauses(PausesConfig(), CONTEXT)
    tone = glide(100, 100)
    assert scores(pauses, later(tone)) == {"pauses": 0, "pause_share": 0}
    paused = np.concatenate([tone, np.zeros(RATE // 2), tone, np.zeros(RATE // 20), tone])
    found = scores(pauses, paused)
    assert found["pauses"] == 1
    assert found["pause_share"] == pytest.approx(100 * 0.5 / 3.55, abs=2)
    shorter = Pauses(PausesConfig(pause_seconds=0.6), CONTEXT)
    assert scores(shorter, paused)["pauses"] == 0
    assert math.isnan(scores(pauses, np.zeros(RATE))["pauses"])


def test_speed_is_relative_to_the_audio():
    speed = Speed(SpeedConfig(), CONTEXT)
    times = {"synthesis_seconds": 0.5, "first_audio_seconds": 0.03}
    assert scores(speed, np.ones(2 * RATE), **times) == {"rtf": 0.25, "first_audio": 30}
    assert math.isnan(scores(speed, [], **times)["rtf"])
    with pytest.raises(ValueError, match="'one' has no times"):
        scores(speed, np.ones(RATE))


@pytest.mark.parametrize("metric", [MCD, F0])
def test_without_a_reference_there_is_nothing_to_compare_with(metric):
    with pytest.raises(ValueError, match="'one' has no reference"):
        scores(metric, saying())
