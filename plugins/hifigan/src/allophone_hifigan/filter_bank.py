"""A pseudo-QMF bank: a waveform as bands of lower rate, and back (Nguyen 1994; Kawamura et al. 2023, section 3.2).

Legend: B batch, D bands, N samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 31
"""Samples on each side of the middle of a filter."""

CUTOFF = 0.142
"""Cutoff of the prototype of 4 bands, in half the sample rate: with it, bands give a waveform back to 0.06 %."""

_BETA = 9.0
"""Of the prototype's Kaiser window (Lin and Vaidyanathan 1998)."""


class FilterBank(nn.Module):
    """Cosine-modulated filters of 4 bands; analysis and synthesis together nearly give the waveform back.

    cutoff: of the prototype, in half the sample rate; middle: of the modulation, in samples from that of the
    prototype. The implementation of Kawamura et al. has .15 and -.5, which delays by a sample and leaves an
    error of 16 % of the waveform.
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, bands: int = 4, *, cutoff: float = CUTOFF, middle: float = 0.0) -> None:
        super().__init__()
        self.bands = bands
        positions = torch.arange(-REACH, REACH + 1, dtype=torch.float64)
        window = torch.kaiser_window(2 * REACH + 1, periodic=False, beta=_BETA, dtype=torch.float64)
        prototype = cutoff * torch.sinc(cutoff * positions) * window
        band = torch.arange(bands, dtype=torch.float64).unsqueeze(1)
        angles = (2 * band + 1) * (math.pi / (2 * bands)) * (positions - middle)
        shift = (1 - 2 * (band % 2)) * (math.pi / 4)
        analysis = 2 * prototype * (angles + shift).cos()
        # A transposed convolution runs through its kernel the other way round.
        synthesis = bands * (2 * prototype * (angles - shift).cos()).flip(1)
        self.register_buffer("analysis", analysis.unsqueeze(1).float(), persistent=False)
        self.register_buffer("synthesis", synthesis.unsqueeze(1).float(), persistent=False)

    def forward(self, bands: Tensor) -> Tensor:
        """Bands [B, D, N / D] float32 -> waveform [B, 1, N]."""
        return functional.conv_transpose1d(
            bands,
            self.synthesis.float(),
            stride=self.bands,
            padding=REACH,
            output_padding=self.bands - 1,
        )

    def split(self, waveform: Tensor) -> Tensor:
        """Waveform [B, N] float32 -> bands [B, D, N / D]; N is a multiple of D."""
        return functional.conv1d(
            waveform.unsqueeze(1), self.analysis.float(), stride=self.bands, padding=REACH
        )
