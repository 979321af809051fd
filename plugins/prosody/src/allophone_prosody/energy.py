"""Frame energy, as FastSpeech 2 uses it. N samples, F frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Utterance
from allophone.features.protocol import ExtractionContext
from allophone_prosody.config import EnergyConfig

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
        """Yield one energy contour per utterance."""
        for utterance in utterances:
            yield frame_energy(self._context.load_audio(utterance), self._context.audio)


def frame_energy(samples: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """The L2 norm of each frame's magnitude spectrum (arXiv 2006.04558, section 2.3).

    samples [N] at `spec.sample_rate` -> [F], aligned to the frames of `spec`. The magnitude is computed
    with the settings of `spec`, but always with power 1.
    """
    # Imported here, so that a run with nothing to extract does not import PyTorch.
    import torch

    from allophone.audio.spectrogram import linear_spectrogram

    waveform = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))[None]
    linear = linear_spectrogram(waveform, spec)[0]
    squared = linear.square() if spec.power == 1 else linear
    return squared.sum(0).sqrt().numpy()
