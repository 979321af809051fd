"""Fundamental frequency. F frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import asdict
from numpy.typing import NDArray

from allophone.audio.pitch import fundamental_frequency
from allophone.data.manifest import Utterance
from allophone.features.config import F0Config
from allophone.features.protocol import ExtractionContext


class F0Extractor:
    """F0 [F] float32 in Hz at the centre of each frame of `[audio]`, 0 where unvoiced."""

    reads = frozenset({"audio"})

    def __init__(self, config: F0Config, context: ExtractionContext) -> None:
        self._config = config
        self._context = context
        spec = context.audio
        self.key: Mapping[str, Any] = {
            "version": 1,
            "recording": dict(context.audio_key),
            "config": asdict(config),
            "frames": {"n_fft": spec.n_fft, "hop_length": spec.hop_length, "center": spec.center},
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.float32]]:
        """One contour an utterance."""
        for utterance in utterances:
            yield fundamental_frequency(
                self._context.load_audio(utterance),
                self._context.audio,
                method=self._config.method,
                f_min=self._config.f_min,
                f_max=self._config.f_max,
            )
