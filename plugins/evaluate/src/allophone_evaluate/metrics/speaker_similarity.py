"""The metric `speaker-similarity`: the cosine of two speaker embeddings by Resemblyzer.

The encoder is that of Wan et al. 2018 (generalized end-to-end loss), whose embeddings of one speaker are alike
whatever is said. The package has its own weights (Apache-2.0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import SpeakerSimilarityConfig
from allophone_evaluate.packages import required_package


class SpeakerSimilarity:
    """Gives "speaker_similarity", 1 for the same audio; NaN where no speech is found."""

    def __init__(self, config: SpeakerSimilarityConfig, context: MetricContext) -> None:
        del config
        self._package = required_package(
            "resemblyzer", metric="speaker-similarity", extra="speaker"
        )
        self._encoder = self._package.VoiceEncoder(context.device, verbose=False)

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"speaker_similarity": cosine} of each; ValueError without a reference."""
        return [{"speaker_similarity": self._similarity(one)} for one in speech]

    def _similarity(self, speech: SynthesizedSpeech) -> float:
        if speech.reference is None:
            raise ValueError(f"'{speech.id}' has no reference")
        spoken = self._embedding(speech.samples, speech.sample_rate)
        recorded = self._embedding(speech.reference, speech.sample_rate)
        if spoken is None or recorded is None:
            return math.nan
        return float(np.dot(spoken, recorded))

    def _embedding(
        self, samples: NDArray[np.float32], sample_rate: int
    ) -> NDArray[np.float32] | None:
        """The embedding [256], of length 1; None where the voice activity detection finds nothing."""
        if not np.any(samples):
            return None
        voiced = self._package.preprocess_wav(samples.copy(), source_sr=sample_rate)
        return self._encoder.embed_utterance(voiced) if len(voiced) else None
