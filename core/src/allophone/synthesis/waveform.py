"""`Waveform`: the output of a voice. N samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from attrs import Factory, field, frozen
from numpy.typing import NDArray

from allophone.audio.files import write_audio


@frozen(kw_only=True)
class PhonemeTiming:
    """The start and end of a symbol in seconds from the beginning; a blank belongs to the symbol before
    it."""

    symbol: str
    start: float
    end: float


@frozen(kw_only=True, eq=False)
class Waveform:
    """Mono audio: samples float32 [N], nominally in [-1, 1]; sample_rate in Hz.

    phonemes: the timing of each symbol; None if the model predicts no durations.
    cut_off: the sentences that were cut off before their end, each with the reason.
    """

    samples: NDArray[np.float32] = field(repr=lambda samples: f"<{len(samples)} samples>")
    sample_rate: int
    phonemes: tuple[PhonemeTiming, ...] | None = field(default=None, repr=False)
    cut_off: Mapping[str, str] = Factory(dict)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | Path) -> None:
        """Write a 16-bit WAV or FLAC file, depending on the extension, atomically.

        Samples outside [-1, 1] are clipped, and a warning with their number is logged.
        """
        write_audio(path, self.samples, self.sample_rate)
