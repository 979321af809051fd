"""`Waveform`: what a voice says.

N samples.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from allophone.audio.files import write_audio


@frozen(kw_only=True, eq=False)
class Waveform:
    """One channel of sound: samples float32 [N], mostly between -1 and 1; sample_rate in Hz."""

    samples: NDArray[np.float32] = field(repr=lambda samples: f"<{len(samples)} samples>")
    sample_rate: int

    @property
    def seconds(self) -> float:
        """How long it takes to hear it."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | Path) -> None:
        """Write a 16-bit file, WAV or FLAC by the name's ending, whole or not at all.

        Samples beyond -1 and 1 are clipped, and a warning is logged that says how many.
        """
        write_audio(path, self.samples, self.sample_rate)
