"""Confidence intervals and paired tests over utterances. U utterances, R resamples."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

LEVEL = 0.95
"""The coverage of intervals."""

_AT_ONCE = 500
"""Resamples in one matrix, which bounds the memory."""


@frozen(kw_only=True)
class Estimate:
    """A mean over `n` utterances, and the interval that contains the true mean at a confidence of 95 %.

    With fewer than two utterances there is no interval: `low` and `high` are NaN.
    """

    mean: float
    low: float
    high: float
    n: int


@frozen(kw_only=True)
class Comparison:
    """The difference of two means over the same utterances, second minus first, and how likely it is by chance.

    p: the probability of a difference at least as large, in either direction, if the two were alike; NaN with
        fewer than two utterances.
    """

    difference: Estimate
    p: float


def estimate(
    values: NDArray[np.float64], weights: NDArray[np.float64], *, resamples: int, seed: int
) -> Estimate:
    """The weighted mean of values [U], with a percentile bootstrap interval (Efron 1979).

    Each of the R resamples draws U utterances with replacement.
    """
    n = len(values)
    if not n:
        return Estimate(mean=math.nan, low=math.nan, high=math.nan, n=0)
    mean = float(values @ weights / weights.sum())
    if n == 1:
        return Estimate(mean=mean, low=math.nan, high=math.nan, n=1)
    draw = np.random.default_rng(seed)
    means = []
    for count in _portions(resamples):
        chosen = draw.integers(n, size=(count, n))
        means.append((values * weights)[chosen].sum(1) / weights[chosen].sum(1))
    outside = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), [outside, 1 - outside])
    return Estimate(mean=mean, low=float(low), high=float(high), n=n)


def compare(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    resamples: int,
    seed: int,
) -> Comparison:
    """Compare paired values [U] and [U].

    The test draws R assignments of signs to the differences (a paired permutation test, two-sided), so it
    assumes no distribution.
    """
    differences = second - first
    difference = estimate(differences, weights, resamples=resamples, seed=seed)
    if difference.n < 2:
        return Comparison(difference=difference, p=math.nan)
    draw = np.random.default_rng(seed)
    weighted = differences * weights
    # Sums of the same numbers in another order differ by rounding.
    observed = abs(weighted.sum()) - 1e-9 * np.abs(weighted).sum()
    as_large = 0
    for count in _portions(resamples):
        signs = draw.integers(2, size=(count, len(weighted))) * 2 - 1
        as_large += int((np.abs(signs @ weighted) >= observed).sum())
    return Comparison(difference=difference, p=(as_large + 1) / (resamples + 1))


def _portions(total: int) -> list[int]:
    return [min(_AT_ONCE, total - begun) for begun in range(0, total, _AT_ONCE)]
