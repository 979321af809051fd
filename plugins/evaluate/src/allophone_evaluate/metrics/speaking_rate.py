"""The metric `speaking-rate`: letters and digits of the text per second, from the first sound to the last."""

from __future__ import annotations

import math
from collections.abc import Sequence

from allophone.audio.silence import non_silent_range
from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import SpeakingRateConfig


class SpeakingRate:
    """Gives "speaking_rate", 1/s; NaN for silence and for a text without letters."""

    def __init__(self, config: SpeakingRateConfig, context: MetricContext) -> None:
        del context
        self._threshold = config.threshold_db

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"speaking_rate": 1/s} of each."""
        return [{"speaking_rate": self._rate(one)} for one in speech]

    def _rate(self, speech: SynthesizedSpeech) -> float:
        first, last = non_silent_range(
            speech.samples, speech.sample_rate, threshold_db=self._threshold, pad_seconds=0
        )
        letters = sum(character.isalnum() for character in speech.text or "")
        return (
            letters * speech.sample_rate / (last - first) if letters and last > first else math.nan
        )
