"""16-bit WAV as bytes: for a pipe that is written as it is computed, and for files.

N samples.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_UNKNOWN = 0xFFFFFFFF
"""The length that players take for "until the end"."""

_FULL_SCALE = 32768


def wav_header(sample_rate: int, *, samples: int | None) -> bytes:
    """The header of a 16-bit WAV of one channel; None where its length is not known yet."""
    data = _UNKNOWN if samples is None else 2 * samples
    whole = _UNKNOWN if samples is None else 36 + data
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", whole, b"WAVE"),
        *(b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16),
        *(b"data", data),
    )


def pcm16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples [N] as 16-bit little-endian integers; what lies beyond -1 and 1 is clipped."""
    integers = np.rint(samples.astype(np.float64) * _FULL_SCALE)
    return integers.clip(-_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
