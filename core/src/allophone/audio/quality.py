"""Estimates of what is wrong with a recording, from its samples alone: clipping, noise, silence at the ends. N samples."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.audio.silence import non_silent_range

_STEP = 2.0**-15
"""A step of 16 bits."""

_FLAT = 3
"""Samples in a row at the same extreme that make a flat top."""

_QUIET_PEAK = 0.05
"""Below this peak, steps of 16 bits are too large for flat tops to mean anything."""

_FRAME_SECONDS = 0.025
_HOP_SECONDS = 0.01

_FEWEST_FRAMES = 20
"""Frames without which quiet ones cannot be told from loud ones: 0.2 seconds."""

_SPEECH_DB = 40.0
"""What is this far below the loudest part of a recording is silence."""

_FLOOR = 1e-10
"""The power of a frame, relative to full scale, below which there is nothing: -100 dB."""


@frozen(kw_only=True)
class Quality:
    """Estimates for a recording.

    clipped: the number of samples in flat tops. A recording that was made too loud has many, also if it was scaled
        down later. Lossy compression and resampling round them off.
    snr_db: the 95th percentile of the power of frames of 25 ms over the 5th, in dB, as an estimate of the
        signal-to-noise ratio: speech has pauses, which hold only noise. The percentiles are those of a simple form of
        NIST's STNR, which takes them from the histogram of the power of frames. Without pauses it is too low. None for
        less than 0.2 seconds.
    before, after: seconds before and after what is within 40 dB of the loudest part.
    """

    clipped: int
    snr_db: float | None
    before: float
    after: float


def measure_quality(samples: NDArray[np.float32], sample_rate: int) -> Quality:
    """Measure a recording [N] before it is resampled or trimmed; N is at least 1."""
    first, last = non_silent_range(samples, sample_rate, threshold_db=_SPEECH_DB, pad_seconds=0.0)
    return Quality(
        clipped=_clipped(samples),
        snr_db=_snr(samples, sample_rate),
        before=first / sample_rate,
        after=(len(samples) - last) / sample_rate,
    )


def _clipped(samples: NDArray[np.float32]) -> int:
    """The number of samples in flat tops, on either side."""
    count = 0
    for side in (samples, -samples):
        peak = float(side.max())
        if peak >= _QUIET_PEAK:
            edges = np.flatnonzero(np.diff(side >= peak - _STEP, prepend=False, append=False))
            runs = edges[1::2] - edges[::2]
            count += int(runs[runs >= _FLAT].sum())
    return count


def _snr(samples: NDArray[np.float32], sample_rate: int) -> float | None:
    length, hop = round(_FRAME_SECONDS * sample_rate), round(_HOP_SECONDS * sample_rate)
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - length + 1, max(1, hop))
    if len(starts) < _FEWEST_FRAMES:
        return None
    power = (energy[starts + length] - energy[starts]) / length
    quiet, loud = np.percentile(np.maximum(power, _FLOOR), (5, 95))
    return float(10 * np.log10(loud / quiet))
