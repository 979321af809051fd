"""Intervals and tests, checked by their coverage and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from allophone_evaluate.statistics import compare, estimate

HOW = {"resamples": 2000, "seed": 0}


def test_an_interval_is_that_of_scipy():
    values = np.random.default_rng(0).exponential(size=40)
    found = estimate(values, np.ones(40), **HOW)
    assert found.mean == pytest.approx(values.mean())
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=5000, method="percentile", random_state=1
    ).confidence_interval
    width = theirs.high - theirs.low
    assert found.low == pytest.approx(theirs.low, abs=0.06 * width)
    assert found.high == pytest.approx(theirs.high, abs=0.06 * width)
    assert found.n == 40


def test_an_interval_contains_the_truth_about_as_often_as_it_says():
    draw = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        found = estimate(draw.normal(3, 1, size=50), np.ones(50), resamples=400, seed=1)
        hits += found.low <= 3 <= found.high
    assert 0.89 <= hits / 200 <= 0.99


def test_weights_count_as_copies():
    values = np.array([0.0, 1.0])
    assert estimate(values, np.array([3.0, 1.0]), **HOW).mean == 0.25


def test_the_seed_decides():
    values = np.random.default_rng(0).normal(size=30)
    first, again = (estimate(values, np.ones(30), resamples=500, seed=7) for _ in range(2))
    assert first == again
    assert first != estimate(values, np.ones(30), resamples=500, seed=8)


def test_one_utterance_has_no_interval_and_none_has_no_mean():
    one = estimate(np.array([2.0]), np.ones(1), **HOW)
    assert (one.mean, one.n) == (2, 1)
    assert math.isnan(one.low)
    assert math.isnan(estimate(np.array([]), np.array([]), **HOW).mean)
    assert math.isnan(compare(np.ones(1), np.ones(1), np.ones(1), **HOW).p)


def test_a_difference_that_is_always_there_is_found_in_noise():
    draw = np.random.default_rng(0)
    hard = 10 * draw.normal(size=40)
    first, second = hard + draw.normal(size=40), hard + 1 + draw.normal(size=40)
    found = compare(first, second, np.ones(40), **HOW)
    assert found.difference.low < 1 < found.difference.high
    assert found.p < 0.01
    theirs = stats.permutation_test(
        (first, second),
        lambda one, other, axis: np.mean(other - one, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=2000,
        random_state=1,
    )
    assert found.p == pytest.approx(theirs.pvalue, abs=0.01)


def test_alike_voices_seldom_differ():
    draw = np.random.default_rng(0)
    p = [
        compare(draw.normal(size=20), draw.normal(size=20), np.ones(20), resamples=300, seed=1).p
        for _ in range(200)
    ]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.1
    assert compare(np.ones(5), np.ones(5), np.ones(5), **HOW).p == 1
