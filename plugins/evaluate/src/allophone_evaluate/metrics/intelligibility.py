"""The metric `intelligibility`: how much of the text a speech recogniser understands.

The text and the transcript are brought to comparable words by the same rules, then aligned (Levenshtein). A
rate is the number of errors per word or character of the text, %, and exceeds 100 where much is added. In a
mean, utterances count by their words or characters, so that it is the rate of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jiwer

from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import IntelligibilityConfig
from allophone_evaluate.metrics.transcripts import comparable, whisper


class Intelligibility:
    """Gives "wer" and "cer", %."""

    def __init__(self, config: IntelligibilityConfig, context: MetricContext) -> None:
        self._transcribe = whisper(
            config.model,
            beam_size=config.beam_size,
            compute_type=config.compute_type,
            device=context.device,
        )

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"wer": %, "cer": %} of each; NaN for a text without words."""
        return [self._rates(one) for one in speech]

    def weights(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """The number of words and of characters of each text, at least 1."""
        texts = [comparable(one.text or "", one.language) for one in speech]
        return [{"wer": max(1, len(text.split())), "cer": max(1, len(text))} for text in texts]

    def _rates(self, speech: SynthesizedSpeech) -> dict[str, float]:
        expected = comparable(speech.text or "", speech.language)
        if not expected:
            return {"wer": math.nan, "cer": math.nan}
        transcript = self._transcribe(speech.samples, speech.sample_rate, speech.language)
        understood = comparable(transcript, speech.language)
        return {
            "wer": 100 * float(jiwer.wer(expected, understood)),
            "cer": 100 * float(jiwer.cer(expected, understood)),
        }
