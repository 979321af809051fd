"""Finding and cutting the silence around speech, and within it. N samples, W windows."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

_WINDOW_SECONDS = 0.04
_HOP_SECONDS = 0.01


def sounding_range(
    samples: NDArray[np.float32],
    sample_rate: int,
    *,
    threshold_db: float,
    pad_seconds: float = 0.05,
) -> tuple[int, int]:
    """The samples from the first sound to past the last: `samples[first:last]`.

    A window of 40 ms sounds when its power lies less than `threshold_db` below that of the loudest
    one. `pad_seconds` of what surrounds the sound are kept on both sides. Where all is digital
    silence, the range is empty.
    """
    windows = _windows(samples, sample_rate)
    sounding = windows.starts[windows.sound(threshold_db)]
    if not len(sounding):
        return 0, 0
    pad = round(pad_seconds * sample_rate)
    first, last = int(sounding[0]) - pad, int(sounding[-1]) + windows.length + pad
    return max(0, first), min(len(samples), last)


def cut_at_silences(
    samples: NDArray[np.float32],
    sample_rate: int,
    *,
    threshold_db: float,
    max_seconds: float,
    pause_seconds: float = 0.3,
    pad_seconds: float = 0.1,
) -> list[tuple[int, int]]:
    """The stretches of sound in a long recording, `samples[first:last]` each, in order.

    They are divided by pauses of at least `pause_seconds`, told from sound as `sounding_range` does,
    and keep `pad_seconds` of a pause on either side, though never more than half of it. A stretch that
    is longer than `max_seconds` is divided again at its quietest place, not too near its ends, until
    all are shorter.
    """
    windows = _windows(samples, sample_rate)
    sounding = windows.starts[windows.sound(threshold_db)]
    if not len(sounding):
        return []
    gaps = np.flatnonzero(np.diff(sounding) - windows.length >= pause_seconds * sample_rate)
    firsts = [sounding[0], *sounding[gaps + 1]]
    lasts = [*(sounding[gaps] + windows.length), sounding[-1] + windows.length]
    edges = [0, *((last + first) // 2 for last, first in zip(lasts, firsts[1:], strict=False))]
    pad = round(pad_seconds * sample_rate)
    stretches: list[tuple[int, int]] = []
    for first, last, before, after in zip(
        firsts, lasts, edges, [*edges[1:], len(samples)], strict=True
    ):
        whole = max(int(first) - pad, int(before)), min(int(last) + pad, int(after))
        stretches += _divided(*whole, windows, longest=int(max_seconds * sample_rate))
    return stretches


def _divided(first: int, last: int, windows: _Windows, *, longest: int) -> list[tuple[int, int]]:
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
        *_divided(first, middle, windows, longest=longest),
        *_divided(middle, last, windows, longest=longest),
    ]


@frozen(kw_only=True, eq=False)
class _Windows:
    """The power of short windows of a recording [W]; each has `length` samples, from `starts` [W] on."""

    starts: NDArray[np.int64]
    power: NDArray[np.float64]
    length: int

    def sound(self, threshold_db: float) -> NDArray[np.bool_]:
        """Which of them sound [W]; none does in digital silence."""
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
    """samples [N] -> [N'] without leading and trailing silence; see `sounding_range`."""
    first, last = sounding_range(
        samples, sample_rate, threshold_db=threshold_db, pad_seconds=pad_seconds
    )
    return samples[first:last]
