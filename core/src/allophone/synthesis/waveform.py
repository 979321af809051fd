"""`Waveform`: what a voice says.

N samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from allophone.audio.files import write_audio
from allophone.errors import UserError
from allophone.synthesis.ledger import Failure, Made, reason


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


def file_waveform(out: Path, id: str, waveform: Waveform, **facts: Any) -> Made | Failure:
    """Write the WAV file of an id, for a ledger; a failure where its samples are not all numbers."""
    name = f"{id}.wav"
    try:
        waveform.save(out / name)
    except UserError as error:
        return Failure(id=id, reason=reason(error))
    heard = {"seconds": round(waveform.seconds, 4), "sample_rate": waveform.sample_rate}
    return Made(id=id, file=name, facts={**facts, **heard})
