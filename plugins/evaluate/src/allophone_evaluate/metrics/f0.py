"""The metric `f0`: how far the melody is from the recording's.

Frames are paired as for `mcd`. F0 is compared in the pairs in which both frames are voiced; the voicing error is
the share of pairs in which only one is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone.metrics.warping import warp
from allophone_evaluate.config import F0Config
from allophone_evaluate.metrics.cepstra import cepstra, spoken_part
from allophone_prosody.f0 import fundamental_frequency

_NOTHING = {"f0_rmse": math.nan, "f0_correlation": math.nan, "voicing_error": math.nan}
_FEWEST = 3
"""Pairs of voiced frames that a comparison needs."""


class F0Distance:
    """Gives "f0_rmse" in Hz, "f0_correlation" from -1 to 1, and "voicing_error" in %.

    NaN: all three for silence; the first two where fewer than three pairs are voiced, and the correlation where
    F0 does not change.
    """

    def __init__(self, config: F0Config, context: MetricContext) -> None:
        self._config = config
        self._spec = context.audio

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """The three scores of each; ValueError without a reference."""
        return [self._compare(one) for one in speech]

    def _compare(self, speech: SynthesizedSpeech) -> dict[str, float]:
        if speech.reference is None:
            raise ValueError(f"'{speech.id}' has no reference")
        parts = [
            spoken_part(samples, speech.sample_rate, self._spec)
            for samples in (speech.samples, speech.reference)
        ]
        if not all(len(part) >= self._spec.min_samples for part in parts):
            return dict(_NOTHING)
        pairs = warp(*(cepstra(part, self._spec) for part in parts)).pairs
        spoken, recorded = (
            self._pitch(part)[frames] for part, frames in zip(parts, pairs.T, strict=True)
        )
        return compare_pitch(spoken, recorded)

    def _pitch(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return fundamental_frequency(
            samples,
            self._spec,
            method=self._config.method,
            f_min=self._config.f_min,
            f_max=self._config.f_max,
        )


def compare_pitch(spoken: NDArray[np.float32], recorded: NDArray[np.float32]) -> dict[str, float]:
    """The scores of paired frames [P], Hz, 0 where unvoiced."""
    both = (spoken > 0) & (recorded > 0)
    found = {**_NOTHING, "voicing_error": 100 * float(np.mean((spoken > 0) != (recorded > 0)))}
    if both.sum() < _FEWEST:
        return found
    first, second = spoken[both].astype(np.float64), recorded[both].astype(np.float64)
    found["f0_rmse"] = float(np.sqrt(np.mean(np.square(first - second))))
    if first.std() and second.std():
        found["f0_correlation"] = float(np.corrcoef(first, second)[0, 1])
    return found
