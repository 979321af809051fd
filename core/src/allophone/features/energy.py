"""Frame energy. F frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.data.manifest import Utterance
from allophone.features.config import EnergyConfig
from allophone.features.protocol import ExtractionContext

_SPECTROGRAM = (
    "n_fft",
    "hop_length",
    "win_length",
    "center",
    "padding",
    "normalize_window",
    "magnitude_epsilon",
    "power",
)


class EnergyExtractor:
    """The L2 norm [F] float32 of the magnitude spectrum of each frame of `[audio]`."""

    reads = frozenset({"audio"})

    def __init__(self, config: EnergyConfig, context: ExtractionContext) -> None:
        self._context = context
        self.key: Mapping[str, Any] = {
            "version": 1,
            "recording": dict(context.audio_key),
            "spectrogram": {name: getattr(context.audio, name) for name in _SPECTROGRAM},
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.float32]]:
        """One contour an utterance."""
        # Here, because it brings PyTorch along, which a run that has nothing to extract does without.
        from allophone.audio.energy import frame_energy

        for utterance in utterances:
            yield frame_energy(self._context.load_audio(utterance), self._context.audio)
