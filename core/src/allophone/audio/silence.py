"""Finding and cutting the silence around speech. N samples."""

from __future__ import annotations

import numpy as np
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
    window = min(len(samples), max(1, round(_WINDOW_SECONDS * sample_rate)))
    hop = max(1, round(_HOP_SECONDS * sample_rate))
    if not len(samples):
        return 0, 0
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.append(np.arange(0, len(samples) - window, hop), len(samples) - window)
    power = energy[starts + window] - energy[starts]
    if power.max() <= 0:
        return 0, 0
    sounding = starts[power > power.max() * 10 ** (-threshold_db / 10)]
    pad = round(pad_seconds * sample_rate)
    return max(0, int(sounding[0]) - pad), min(len(samples), int(sounding[-1]) + window + pad)


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
