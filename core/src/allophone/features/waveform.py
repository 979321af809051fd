"""The recording itself. N samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from allophone.data.manifest import Utterance
from allophone.features.config import WaveformConfig
from allophone.features.protocol import ExtractionContext


class WaveformExtractor:
    """Samples [N] float32 at the sample rate of `[audio]`, full scale at -1 and 1.

    The store keeps what came from 16 bits, and was not resampled, in 16 bits; nothing is lost.
    """

    reads = frozenset({"audio"})

    def __init__(self, config: WaveformConfig, context: ExtractionContext) -> None:
        self._context = context
        self.key: Mapping[str, object] = {"version": 1, "recording": dict(context.audio_key)}

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.float32]]:
        """One waveform an utterance."""
        for utterance in utterances:
            yield self._context.load_audio(utterance)
