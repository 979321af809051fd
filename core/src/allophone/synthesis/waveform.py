"""`Waveform`: what a voice returns, and its bytes as WAV.

N samples.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from attrs import Factory, field, frozen
from numpy.typing import NDArray

_UNKNOWN = 0xFFFFFFFF
"""The length that players take for "until the end"."""

_FULL_SCALE = 32768


@frozen(kw_only=True)
class PhonemeTiming:
    """When a symbol of the text is spoken, in seconds from the beginning; blanks count to the symbol
    before them."""

    symbol: str
    start: float
    end: float


@frozen(kw_only=True, eq=False)
class Waveform:
    """One channel of audio: samples float32 [N], mostly between -1 and 1; sample_rate in Hz.

    phonemes: None where the model predicts no durations.
    cut_off: the sentences that did not come to their end, with what stopped each.
    """

    samples: NDArray[np.float32] = field(repr=lambda samples: f"<{len(samples)} samples>")
    sample_rate: int
    phonemes: tuple[PhonemeTiming, ...] | None = field(default=None, repr=False)
    cut_off: Mapping[str, str] = Factory(dict)

    @property
    def seconds(self) -> float:
        """Its duration."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | Path) -> None:
        """Write a 16-bit WAV or FLAC file, by the name's ending, whole or not at all.

        Samples beyond -1 and 1 are clipped, and a warning is logged that says how many.
        """
        from allophone.audio.files import write_audio

        write_audio(path, self.samples, self.sample_rate)


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


def pcm16(samples: NDArray[np.float32]) -> bytes:
    """Samples [N] as 16-bit little-endian integers; what lies beyond -1 and 1 is clipped.

    The same integers as those of the files that `write_audio` writes.
    """
    integers = np.rint(samples.astype(np.float64) * _FULL_SCALE)
    return integers.clip(-_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes()
