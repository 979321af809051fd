"""16-bit mono WAV as bytes, for files and for streaming. N samples."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_UNKNOWN = 0xFFFFFFFF
"""The length that players read as "until the end of the stream"."""

_FULL_SCALE = 32768


def wav_header(sample_rate: int, *, samples: int | None) -> bytes:
    """Build the header of a 16-bit mono WAV.

    samples: the number of samples, or None for a stream of unknown length.
    """
    data = _UNKNOWN if samples is None else 2 * samples
    whole = _UNKNOWN if samples is None else 36 + data
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", whole, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16),
        *(b"data", data),
    )


def pcm16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Convert samples [N] to 16-bit little-endian integers; values outside [-1, 1] are clipped."""
    integers = np.rint(samples.astype(np.float64) * _FULL_SCALE)
    return integers.clip(-_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
