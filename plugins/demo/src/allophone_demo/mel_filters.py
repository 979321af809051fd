"""A mel filter bank in NumPy, so that figures need no PyTorch.

M mel bands, K frequency bins.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec


def filter_bank(spec: MelSpec) -> NDArray[np.float32]:
    """Triangular filters [M, K], evenly spaced on the mel scale (Slaney 1998, or HTK)."""
    low, high = _to_mel(spec.f_min, spec), _to_mel(spec.highest_frequency, spec)
    steps = np.linspace(low, high, spec.n_mels + 2)
    edges = np.array([_to_hertz(mel, spec) for mel in steps.tolist()])
    bins = np.linspace(0, spec.sample_rate / 2, spec.n_bins)
    lower, peak, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - lower) / (peak - lower)
    falling = (upper - bins) / (upper - peak)
    filters = np.minimum(rising, falling).clip(min=0)
    if spec.mel_norm == "slaney":
        filters = filters * (2 / (upper - lower))
    return filters.astype(np.float32)


# Slaney's Auditory Toolbox: linear below 1 kHz, and 27 steps for a factor of 6.4 above it.
_LINEAR_STEP = 200 / 3
_BREAK = 1000.0
_LOG_STEP = math.log(6.4) / 27


def _to_mel(hertz: float, spec: MelSpec) -> float:
    if spec.mel_scale == "htk":
        return 2595 * math.log10(1 + hertz / 700)
    if hertz < _BREAK:
        return hertz / _LINEAR_STEP
    return _BREAK / _LINEAR_STEP + math.log(hertz / _BREAK) / _LOG_STEP


def _to_hertz(mel: float, spec: MelSpec) -> float:
    if spec.mel_scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    above = mel - _BREAK / _LINEAR_STEP
    return mel * _LINEAR_STEP if above < 0 else _BREAK * math.exp(above * _LOG_STEP)
