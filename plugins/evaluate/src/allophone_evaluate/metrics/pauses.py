"""The metric `pauses`: how many silences an utterance has between its first sound and its last, and how long."""

from __future__ import annotations

import math
from collections.abc import Sequence

from allophone.audio.silence import split_on_silence
from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import PausesConfig

_LONGEST = 1e6
"""Seconds; no utterance is split for its length."""


class Pauses:
    """Gives "pauses", their number, and "pause_share", % of the time; NaN for silence."""

    def __init__(self, config: PausesConfig, context: MetricContext) -> None:
        del context
        self._config = config

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"pauses": number, "pause_share": %} of each."""
        return [self._pauses(one) for one in speech]

    def _pauses(self, speech: SynthesizedSpeech) -> dict[str, float]:
        spoken = split_on_silence(
            speech.samples,
            speech.sample_rate,
            threshold_db=self._config.threshold_db,
            max_seconds=_LONGEST,
            pause_seconds=self._config.pause_seconds,
            pad_seconds=0,
        )
        if not spoken:
            return {"pauses": math.nan, "pause_share": math.nan}
        total = spoken[-1][1] - spoken[0][0]
        speaking = sum(last - first for first, last in spoken)
        return {"pauses": float(len(spoken) - 1), "pause_share": 100 * (1 - speaking / total)}
