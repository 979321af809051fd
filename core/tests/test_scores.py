"""The metric `mel-distance`, the pairing of frames, and means of scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.entries import MetricEntry, Score
from allophone.metrics.config import MelDistanceConfig
from allophone.metrics.mel_distance import MelDistance
from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone.metrics.scores import Scored, has_what_it_needs, score
from allophone.metrics.warping import warp
from allophone_testing import MetricContract
from allophone_testing.corpus import synthetic_speech

RATE = 16000


class TestMelDistance(MetricContract):
    metric = "mel-distance"


class TestMelDistanceAtAnotherRate(MetricContract):
    metric = "mel-distance"
    options = {"dynamic_range": 40.0}  # noqa: RUF012
    sample_rate = 22050


def saying(text="the sun rose.", *, pitch=110.0, seed=0):
    return synthetic_speech(text, pitch=pitch, sample_rate=RATE, seed=seed)


def distance(samples, reference, *, audio=None, rate=RATE):
    metric = MelDistance(
        MelDistanceConfig(), MetricContext(audio=audio or MelSpec(sample_rate=RATE))
    )
    speech = SynthesizedSpeech(
        id="one", samples=np.float32(samples), sample_rate=rate, reference=np.float32(reference)
    )
    return metric.score([speech])[0]["mel_distance"]


def test_the_distance_tells_better_from_worse():
    recorded = saying()
    noise = np.random.default_rng(0).standard_normal(len(recorded)) * recorded.std()
    said = [recorded, saying(seed=1), saying(pitch=180.0), saying("boats with fish.")]
    noisy = [recorded, recorded + 0.01 * noise, recorded + 0.1 * noise, recorded + noise]
    for worse_and_worse in (said, noisy):
        found = [distance(samples, recorded) for samples in worse_and_worse]
        assert found[0] == 0
        assert found == sorted(found)
        assert min(np.diff(found)) > 1


def test_loudness_and_silence_before_it_hardly_count():
    recorded = saying()
    assert distance(0.1 * recorded, recorded) < 1e-3
    later = np.concatenate([np.zeros(RATE // 5), recorded])
    assert distance(later, recorded) < 0.3 * distance(saying("boats with fish."), recorded)


@pytest.mark.parametrize("samples", [[], [0.0] * 20, [0.0] * RATE, [0.5] * 3])
def test_what_is_silent_or_too_short_has_a_distance(samples):
    assert 5 < distance(samples, saying()) < 80


def test_the_distance_is_in_decibels_whatever_the_numbers_of_the_mel_mean():
    recorded, other = saying(), saying(seed=1)
    plain = distance(other, recorded)
    for changes in (
        {"log_base": "10"},
        {"log_gain": 0.1, "log_offset": 3.0, "clip_low": -1.0, "clip_high": 1.0},
        {"log_base": "none"},
    ):
        assert distance(other, recorded, audio=MelSpec(sample_rate=RATE, **changes)) == plain


def test_speech_of_another_rate_is_resampled():
    import soxr

    recorded = saying()
    doubled = soxr.resample(recorded, RATE, 2 * RATE)
    assert distance(doubled, doubled, rate=2 * RATE) == 0
    noisy = doubled + 0.1 * np.random.default_rng(0).standard_normal(len(doubled))
    assert distance(noisy, doubled, rate=2 * RATE) > 1


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (5, 1), (7, 9), (12, 4)])
def test_frames_are_paired_as_the_definition_has_it(rows, columns):
    draw = np.random.default_rng(rows)
    first, second = draw.normal(size=(rows, 3)), draw.normal(size=(columns, 3))
    sums = np.full((rows + 1, columns + 1), np.inf)
    sums[0, 0] = 0
    for row in range(rows):
        for column in range(columns):
            cost = np.sqrt(np.mean((first[row] - second[column]) ** 2))
            sums[row + 1, column + 1] = min(
                sums[row, column] + 2 * cost,
                sums[row, column + 1] + cost,
                sums[row + 1, column] + cost,
            )
    found = warp(first, second)
    assert found.distance == pytest.approx(sums[-1, -1] / (rows + columns))
    pairs = found.pairs.tolist()
    assert pairs[0] == [0, 0]
    assert pairs[-1] == [rows - 1, columns - 1]
    steps = np.diff(found.pairs, axis=0, prepend=[[-1, -1]])
    assert set(map(tuple, steps.tolist())) <= {(0, 1), (1, 0), (1, 1)}
    costs = [np.sqrt(np.mean((first[row] - second[column]) ** 2)) for row, column in pairs]
    assert np.dot(costs, steps.sum(1)) == pytest.approx(sums[-1, -1]), "the pairs are not the best"


class ErrorsPerLetter:
    """As many errors as there are samples, in a text of some letters."""

    def score(self, speech):
        return [{"rate": len(one.samples) / len(one.text)} for one in speech]

    def weights(self, speech):
        return [{"rate": len(one.text)} for one in speech]


def test_a_rate_is_averaged_over_what_it_is_a_rate_of():
    entry = MetricEntry(
        name="rate",
        summary="-",
        config="a:B",
        metric="a:C",
        scores=(Score(name="rate", better="lower"),),
        needs_text=True,
    )
    speech = [
        SynthesizedSpeech(id="-", samples=np.zeros(errors), sample_rate=RATE, text="x" * letters)
        for errors, letters in ((1, 1), (2, 7))
    ]
    found = score(entry, ErrorsPerLetter(), speech)["rate"]
    assert found.values == (1, 2 / 7)
    assert found.mean == pytest.approx(3 / 8)
    assert Scored(values=(1.0, math.nan), weights=(1.0, 9.0)).mean == 1
    assert math.isnan(Scored(values=(math.nan,), weights=(1.0,)).mean)


def test_times_are_a_need_of_their_own():
    entry = MetricEntry(
        name="speed",
        summary="-",
        config="a:B",
        metric="a:C",
        scores=(Score(name="speed", better="lower"),),
        needs_timing=True,
    )
    speech = SynthesizedSpeech(id="-", samples=np.zeros(1), sample_rate=RATE)
    assert not has_what_it_needs(entry, speech)
    assert not has_what_it_needs(entry, evolve(speech, synthesis_seconds=1.0))
    assert has_what_it_needs(entry, evolve(speech, synthesis_seconds=1.0, first_audio_seconds=0.1))
