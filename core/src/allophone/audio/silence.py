"""Silence detection: trimming recordings and splitting them at pauses. N samples, W windows."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

_WINDOW_SECONDS = 0.04
_HOP_SECONDS = 0.01


def non_silent_range(
    samples: NDArray[np.float32],
    sample_rate: int,
    *,
    threshold_db: float,
    pad_seconds: float = 0.05,
) -> tuple[int, int]:
    """Find the range of samples without leading and trailing silence: `samples[first:last]`.

    A 40 ms window is silent if its power is at least `threshold_db` below that of the loudest window.
    `pad_seconds` are kept on both sides. The range is empty if all samples are zero.
    """
    windows = _windows(samples, sample_rate)
    active = windows.starts[windows.active(threshold_db)]
    if not len(active):
        return 0, 0
    pad = round(pad_seconds * sample_rate)
    first, last = int(active[0]) - pad, int(active[-1]) + windows.length + pad
    return max(0, first), min(len(samples), last)


def split_on_silence(
    samples: NDArray[np.float32],
    sample_rate: int,
    *,
    threshold_db: float,
    max_seconds: float,
    pause_seconds: float = 0.3,
    pad_seconds: float = 0.1,
) -> list[tuple[int, int]]:
    """Split a long recording at pauses into segments `samples[first:last]`, in order.

    A pause is at least `pause_seconds` of silence, as in `non_silent_range`. Each segment keeps up to
    `pad_seconds` of the pauses around it, and at most half of each. Segments longer than `max_seconds` are
    split again at the quietest window of their middle half, until none is longer.
    """
    windows = _windows(samples, sample_rate)
    active = windows.starts[windows.active(threshold_db)]
    if not len(active):
        return []
    gaps = np.flatnonzero(np.diff(active) - windows.length >= pause_seconds * sample_rate)
    firsts = [active[0], *active[gaps + 1]]
    lasts = [*(active[gaps] + windows.length), active[-1] + windows.length]
    edges = [0, *((last + first) // 2 for last, first in zip(lasts, firsts[1:], strict=False))]
    pad = round(pad_seconds * sample_rate)
    segments: list[tuple[int, int]] = []
    for first, last, before, after in zip(
        firsts, lasts, edges, [*edges[1:], len(samples)], strict=True
    ):
        whole = max(int(first) - pad, int(before)), min(int(last) + pad, int(after))
        segments += _split_long(*whole, windows, longest=int(max_seconds * sample_rate))
    return segments


def _split_long(first: int, last: int, windows: _Windows, *, longest: int) -> list[tuple[int, int]]:
    if last - first <= longest:
        return [(first, last)]
    quarter = (last - first) // 4
    inner = np.flatnonzero(
        (windows.starts >= first + quarter) & (windows.starts + windows.length <= last - quarter)
    )
    if len(inner):
        middle = int(windows.starts[inner[windows.power[inner].argmin()]]) + windows.length // 2
    else:
        middle = (first + last) // 2
    return [
        *_split_long(first, middle, windows, longest=longest),
        *_split_long(middle, last, windows, longest=longest),
    ]


@frozen(kw_only=True, eq=False)
class _Windows:
    """The power [W] of short windows; window i covers `length` samples from `starts[i]`."""

    starts: NDArray[np.int64]
    power: NDArray[np.float64]
    length: int

    def active(self, threshold_db: float) -> NDArray[np.bool_]:
        """Which windows [W] are not silent; none if all samples are zero."""
        loudest = self.power.max(initial=0.0)
        return np.asarray((self.power > loudest * 10 ** (-threshold_db / 10)) & (self.power > 0))


def _windows(samples: NDArray[np.float32], sample_rate: int) -> _Windows:
    length = min(len(samples), max(1, round(_WINDOW_SECONDS * sample_rate)))
    hop = max(1, round(_HOP_SECONDS * sample_rate))
    starts = np.append(np.arange(0, len(samples) - length, hop), len(samples) - length)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    return _Windows(starts=starts, power=energy[starts + length] - energy[starts], length=length)


def trim_silence(
    samples: NDArray[np.float32],
    sample_rate: int,
    *,
    threshold_db: float,
    pad_seconds: float = 0.05,
) -> NDArray[np.float32]:
    """Remove leading and trailing silence: samples [N] -> [N']; see `non_silent_range`."""
    first, last = non_silent_range(
        samples, sample_rate, threshold_db=threshold_db, pad_seconds=pad_seconds
    )
    return samples[first:last]
