"""YIN (de Cheveigné and Kawahara 2002), all frames at once.

N samples, F frames, W samples that are compared with those a lag later, L lags.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec

_CLEAR = 0.15
"""The first lag whose difference dips below this is the period (the paper's step 4)."""

_VOICED = 0.3
"""A frame whose deepest dip is shallower than this is unvoiced."""

_QUIET = 1e-4
"""A frame of less power than this share of the loudest one's is unvoiced."""

_TINY = 1e-12


def yin(
    samples: NDArray[np.float32], spec: MelSpec, f_min: float, f_max: float
) -> NDArray[np.float32]:
    """F0 [F] in Hz at the centre of each frame of `spec`, 0 where unvoiced."""
    shortest = max(2, math.floor(spec.sample_rate / f_max))
    longest = math.ceil(spec.sample_rate / f_min)
    window = 2 * longest
    # What is compared reaches from the window's beginning to a lag past its end.
    middle = (window + round(math.sqrt(shortest * longest))) // 2
    frames = _frames(samples, spec, size=window + longest + 1, middle=middle)
    difference, power = _differences(frames, window)
    lags = np.arange(1, longest + 2)
    mean_so_far = np.cumsum(difference[:, 1:], axis=1) / lags
    normalised = difference[:, 1:] / np.maximum(mean_so_far, _TINY)  # of the lags from 1 on

    searched = normalised[:, shortest - 1 :]
    before, at, after = searched[:, :-2], searched[:, 1:-1], searched[:, 2:]
    dips = np.where((at <= before) & (at < after), at, np.inf)
    clear = dips < _CLEAR
    best = np.where(clear.any(axis=1), clear.argmax(axis=1), dips.argmin(axis=1))[:, None]

    depth, left, right = (
        np.take_along_axis(values, best, axis=1)[:, 0] for values in (at, before, after)
    )
    curvature = np.maximum(left - 2 * depth + right, _TINY)
    period = best[:, 0] + shortest + 1 + np.clip((left - right) / (2 * curvature), -1, 1)
    dips_somewhere = np.take_along_axis(dips, best, axis=1)[:, 0] < _VOICED
    voiced = dips_somewhere & (power > _QUIET * power.max())
    return np.where(voiced, spec.sample_rate / period, 0).astype(np.float32)


def _frames(
    samples: NDArray[np.float32], spec: MelSpec, *, size: int, middle: int
) -> NDArray[np.float64]:
    """[F, size], each with its sample `middle` where the frame of `spec` has its centre."""
    frames = spec.frames(len(samples))
    before = middle - spec.frame_center
    total = (frames - 1) * spec.hop_length + size
    cut = samples[max(0, -before) :]
    padded = np.pad(cut, (max(0, before), max(0, total - len(cut))))[:total].astype(np.float64)
    return np.lib.stride_tricks.sliding_window_view(padded, size)[:: spec.hop_length]


def _differences(
    frames: NDArray[np.float64], window: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Squared differences [F, L] of each frame's first W samples and those a lag later, by their
    autocorrelation (equation 7), and the power [F] of the former."""
    size = frames.shape[1]
    padded = 1 << (size - 1).bit_length()
    spectrum, head = np.fft.rfft(frames, padded), np.fft.rfft(frames[:, :window], padded)
    correlation = np.fft.irfft(head.conj() * spectrum, padded)[:, : size - window + 1]
    sums = np.pad(np.cumsum(np.square(frames), axis=1), ((0, 0), (1, 0)))
    energy = sums[:, window:] - sums[:, : size - window + 1]
    difference = energy[:, :1] + energy - 2 * correlation
    return np.maximum(difference, 0), energy[:, 0] / window
