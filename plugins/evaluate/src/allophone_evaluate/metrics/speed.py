"""The metric `speed`: how fast the synthesis was, on the machine that measured it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import SpeedConfig


class Speed:
    """Gives "rtf", seconds of computing per second of audio, and "first_audio", ms.

    In a mean, "rtf" counts utterances alike. NaN for an utterance without samples.
    """

    def __init__(self, config: SpeedConfig, context: MetricContext) -> None:
        del config, context

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"rtf": factor, "first_audio": ms} of each; ValueError without times."""
        return [self._speed(one) for one in speech]

    def _speed(self, speech: SynthesizedSpeech) -> dict[str, float]:
        if speech.synthesis_seconds is None or speech.first_audio_seconds is None:
            raise ValueError(f"'{speech.id}' has no times of synthesis")
        seconds = len(speech.samples) / speech.sample_rate
        return {
            "rtf": speech.synthesis_seconds / seconds if seconds else math.nan,
            "first_audio": 1000 * speech.first_audio_seconds,
        }
