"""Frame energy, as FastSpeech 2 uses it. N samples, F frames."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import linear_spectrogram


def frame_energy(samples: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float32]:
    """The L2 norm of each frame's magnitude spectrum (arXiv 2006.04558, section 2.3).

    samples [N] at `spec.sample_rate` -> [F], aligned to the frames of `spec`; the magnitude is taken
    as `spec` says, to its first power.
    """
    waveform = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))[None]
    linear = linear_spectrogram(waveform, spec)[0]
    squared = linear.square() if spec.power == 1 else linear
    return squared.sum(0).sqrt().numpy()
