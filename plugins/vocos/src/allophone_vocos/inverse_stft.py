"""The inverse short-time Fourier transform of spectra that a network predicts.

Legend: B batch, F frames, K = n_fft / 2 + 1 frequency bins, N samples.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class InverseStft(nn.Module):
    """Spectra to samples, with a Hann window of `n_fft` samples; F frames give exactly F * hop_length samples.

    The first frame is centred on the middle of the first hop, as in Vocos (Siuzdak 2023, section 3.3): what
    lies before the first hop and after the last one is cut off. The sum of overlapping windows is divided
    by the sum of their squares, so that the transform inverts `torch.stft` with the same window.

    n_fft must be an even number of hops, such as 4. In graphs (`torch.export`), frames are a matrix
    product, which every runtime has and computes fast; otherwise they are real FFTs.

    margin: frames on each side that a frame's samples depend on.
    """

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        if n_fft % (2 * hop_length):
            raise ValueError(
                f"n_fft ({n_fft}) must be an even number of hops ({hop_length} samples)"
            )
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.margin = math.ceil((n_fft - hop_length) / (2 * hop_length))
        window = torch.hann_window(n_fft, dtype=torch.float64)
        self.window: Tensor
        self.cosines: Tensor
        self.sines: Tensor
        self.register_buffer("window", window.float(), persistent=False)
        cosines, sines = _half_waves(n_fft)
        self.register_buffer("cosines", cosines.float(), persistent=False)
        self.register_buffer("sines", sines.float(), persistent=False)

    def forward(self, real: Tensor, imaginary: Tensor, mask: Tensor | None = None) -> Tensor:
        """real, imaginary [B, F, K] float32, mask [B, F] -> [B, F * hop_length].

        Frames outside the mask add nothing; without a mask all frames count.
        """
        frames = self._frames(real, imaginary) * self.window
        windows = self.window.square()
        if mask is None:
            windows = windows.expand(1, real.size(1), -1)
        else:
            inside = mask.to(frames.dtype).unsqueeze(2)
            frames, windows = frames * inside, windows * inside
        total = self._overlap_add(windows)
        # Past the end of an utterance, no window says what to divide by.
        return self._overlap_add(frames) / (total if mask is None else total.clamp_min(1e-8))

    def _frames(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Inverse real DFT of each frame -> [B, F, n_fft]."""
        if not torch.compiler.is_exporting():
            return torch.fft.irfft(torch.complex(real, imaginary), n=self.n_fft)
        # Cosines are even about the middle of the frame and sines odd, so that half of each is enough.
        even, odd = real @ self.cosines, imaginary @ self.sines
        first = (even + odd)[:, :, :-1]
        second = (even - odd)[:, :, 1:].flip(2)
        return torch.cat([first, second], dim=2)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """[B, F, n_fft] -> [B, F * hop_length], without what lies before the first hop and after the last."""
        hops = self.n_fft // self.hop_length
        pieces = torch.unflatten(frames, 2, (hops, self.hop_length))
        padded = [
            functional.pad(pieces[:, :, index], (0, 0, index, hops - 1 - index))
            for index in range(hops)
        ]
        samples = functools.reduce(torch.add, padded).flatten(1)
        before = (self.n_fft - self.hop_length) // 2
        return samples[:, before : samples.size(1) - before]


def _half_waves(n_fft: int) -> tuple[Tensor, Tensor]:
    """The first n_fft / 2 + 1 samples of each bin's cosine and negative sine, [K, K] float64.

    Scaled such that their sum is the inverse real DFT: all bins but the first and last stand for two.
    """
    half = n_fft // 2 + 1
    angles = torch.outer(torch.arange(half), torch.arange(half)).double() * (2 * math.pi / n_fft)
    scale = torch.full((half, 1), 2.0 / n_fft, dtype=torch.float64)
    scale[0] = scale[-1] = 1.0 / n_fft
    return scale * angles.cos(), -scale * angles.sin()
