"""`Waveform`: what a voice returns.

N samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from attrs import Factory, field, frozen
from numpy.typing import NDArray

from allophone.audio.files import write_audio


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
        write_audio(path, self.samples, self.sample_rate)
