"""The metric `mcd`: mel-cepstral distortion (Kubichek 1993).

    MCD = 10 / ln 10 * sqrt(2 * sum over k of (c_k - c'_k)^2), averaged over paired frames

with coefficients c_1 to c_13 of the natural logarithm of the mel spectrum. Frames are paired by dynamic time
warping; silence at the ends is cut off. Other programs take cepstra from other spectra (WORLD's, by SPTK), so
compare values of this metric only with each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone.metrics.warping import warp
from allophone_evaluate.config import McdConfig
from allophone_evaluate.metrics.cepstra import N_COEFFICIENTS, cepstra, spoken_part


class MelCepstralDistortion:
    """Gives "mcd" in dB, 0 for identical audio; NaN for silence."""

    def __init__(self, config: McdConfig, context: MetricContext) -> None:
        del config
        self._spec = context.audio

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"mcd": dB} of each; ValueError without a reference."""
        return [{"mcd": self._distortion(one)} for one in speech]

    def _distortion(self, speech: SynthesizedSpeech) -> float:
        if speech.reference is None:
            raise ValueError(f"'{speech.id}' has no reference")
        parts = [
            spoken_part(samples, speech.sample_rate, self._spec)
            for samples in (speech.samples, speech.reference)
        ]
        if not all(map(len, parts)):
            return math.nan
        return distortion(*(cepstra(part, self._spec) for part in parts))


def distortion(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """MCD in dB of cepstra in dB, [F, K] and [G, K]."""
    # Decibels have the factor 20 / ln 10, twice that of the definition; the distance of frames is the root of a
    # mean, not of a sum.
    return warp(first, second).distance * math.sqrt(N_COEFFICIENTS / 2)
