"""YIN (de Cheveigné and Kawahara 2002), vectorised over frames.

N samples, F frames, W window size in samples, L lags.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec

_THRESHOLD = 0.15
"""Absolute threshold: the first minimum below this is the period (step 4 of the paper)."""

_VOICING_THRESHOLD = 0.3
"""A frame whose lowest minimum is above this is unvoiced."""

_MIN_RELATIVE_POWER = 1e-4
"""A frame with less than this fraction of the power of the loudest frame is unvoiced."""

_EPSILON = 1e-12


def yin(
    samples: NDArray[np.float32], spec: MelSpec, f_min: float, f_max: float
) -> NDArray[np.float32]:
    """F0 [F] in Hz at the centre of each frame of `spec`, 0 where unvoiced."""
    shortest = max(2, math.floor(spec.sample_rate / f_max))
    longest = math.ceil(spec.sample_rate / f_min)
    window = 2 * longest
    # The comparison covers the window and one lag past its end.
    middle = (window + round(math.sqrt(shortest * longest))) // 2
    frames = _frames(samples, spec, size=window + longest + 1, middle=middle)
    difference, power = _differences(frames, window)
    lags = np.arange(1, longest + 2)
    cumulative_mean = np.cumsum(difference[:, 1:], axis=1) / lags
    normalised = difference[:, 1:] / np.maximum(cumulative_mean, _EPSILON)  # for lags from 1

    searched = normalised[:, shortest - 1 :]
    before, at, after = searched[:, :-2], searched[:, 1:-1], searched[:, 2:]
    minima = np.where((at <= before) & (at < after), at, np.inf)
    below_threshold = minima < _THRESHOLD
    best = np.where(
        below_threshold.any(axis=1), below_threshold.argmax(axis=1), minima.argmin(axis=1)
    )[:, None]

    depth, left, right = (
        np.take_along_axis(values, best, axis=1)[:, 0] for values in (at, before, after)
    )
    curvature = np.maximum(left - 2 * depth + right, _EPSILON)
    period = best[:, 0] + shortest + 1 + np.clip((left - right) / (2 * curvature), -1, 1)
    periodic = np.take_along_axis(minima, best, axis=1)[:, 0] < _VOICING_THRESHOLD
    voiced = periodic & (power > _MIN_RELATIVE_POWER * power.max())
    return np.where(voiced, spec.sample_rate / period, 0).astype(np.float32)


def _frames(
    samples: NDArray[np.float32], spec: MelSpec, *, size: int, middle: int
) -> NDArray[np.float64]:
    """Frames [F, size], whose sample `middle` is at the centre of the frame of `spec`."""
    frames = spec.frames(len(samples))
    before = middle - spec.frame_center
    total = (frames - 1) * spec.hop_length + size
    cut = samples[max(0, -before) :]
    padded = np.pad(cut, (max(0, before), max(0, total - len(cut))))[:total].astype(np.float64)
    return np.lib.stride_tricks.sliding_window_view(padded, size)[:: spec.hop_length]


def _differences(
    frames: NDArray[np.float64], window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The difference function [F, L] of each frame, computed by autocorrelation (equation 7), and the
    power [F] of its first W samples."""
    size = frames.shape[1]
    padded = 1 << (size - 1).bit_length()
    spectrum, head = np.fft.rfft(frames, padded), np.fft.rfft(frames[:, :window], padded)
    correlation = np.fft.irfft(head.conj() * spectrum, padded)[:, : size - window + 1]
    sums = np.pad(np.cumsum(np.square(frames), axis=1), ((0, 0), (1, 0)))
    energy = sums[:, window:] - sums[:, : size - window + 1]
    difference = energy[:, :1] + energy - 2 * correlation
    return np.maximum(difference, 0), energy[:, 0] / window
