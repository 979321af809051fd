"""Complex spectrograms for discriminators, with real and imaginary part as two channels.

Legend: B batch, N samples, K frequency bins, F frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone_hifigan.config import ConstantQConfig

LOWPASS_TAPS = 127


class ShortTimeFourierTransform(nn.Module):
    """An STFT with Hann windows of `size` samples and unit energy, and a hop of a quarter window."""

    window: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        window = torch.hann_window(size)
        self.register_buffer("window", window / window.norm(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """waveform [B, N] -> [B, 2, F, K]; always in float32."""
        size = len(self.window)
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = torch.stft(
                waveform.float(),
                size,
                hop_length=size // 4,
                window=self.window,
                pad_mode="constant",
                return_complex=True,
            )
        return torch.view_as_real(spectrum).permute(0, 3, 2, 1)


class ConstantQTransform(nn.Module):
    """The constant-Q transform up to half the sample rate.

    Computed octave by octave from the highest (Schorkhuber and Klapuri 2010): all octaves use the same
    kernels, since the waveform is low-passed and downsampled by two for each lower octave. Within one
    bin's width of half the sample rate, the highest kernels alias.
    """

    kernels: Tensor
    lowpass: Tensor

    def __init__(self, config: ConstantQConfig) -> None:
        super().__init__()
        self.octaves = config.octaves
        self.hop_length = config.hop_length
        self.register_buffer("kernels", _octave_kernels(config.bins_per_octave), persistent=False)
        self.register_buffer("lowpass", _half_band_lowpass(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """waveform [B, N] -> [B, 2, F, K], the lowest pitch first; always in float32."""
        frames = -(-waveform.size(1) // self.hop_length)
        hop_length = self.hop_length
        samples = waveform.float().unsqueeze(1)
        octaves: list[Tensor] = []
        with torch.autocast(waveform.device.type, enabled=False):
            for octave in range(self.octaves):
                if octave:
                    samples = functional.conv1d(
                        samples, self.lowpass, stride=2, padding=LOWPASS_TAPS // 2
                    )
                    hop_length //= 2
                half = self.kernels.size(2) // 2
                around = functional.pad(samples, (half, half))
                spectrum = functional.conv1d(around, self.kernels, stride=hop_length)
                # Kernels have unit energy at the rate of their octave. At the full rate they have
                # twice as many samples for each lower octave.
                octaves.insert(0, spectrum[:, :, :frames] * math.sqrt(2) ** octave)
        parts = [torch.unflatten(octave, 1, (2, -1)) for octave in octaves]
        return torch.cat(parts, dim=2).transpose(2, 3)


def _octave_kernels(bins: int) -> Tensor:
    """Windowed complex exponentials of the highest octave: real parts, then imaginary parts, [2 bins, 1, L].

    The length of each resolves its frequency from that of the next bin.
    """
    quality = 1 / (2 ** (1 / bins) - 1)
    frequencies = 0.5 * 2.0 ** (torch.arange(bins, dtype=torch.float64) / bins - 1)
    lengths = quality / frequencies
    half = math.ceil(float(lengths.max()) / 2)
    positions = torch.arange(-half, half + 1, dtype=torch.float64)
    inside = positions.abs() < lengths.unsqueeze(1) / 2
    window = torch.where(
        inside, 0.5 + 0.5 * torch.cos(2 * math.pi * positions / lengths.unsqueeze(1)), 0.0
    )
    window = window / window.norm(dim=1, keepdim=True)
    phase = 2 * math.pi * frequencies.unsqueeze(1) * positions
    kernels = torch.cat([window * phase.cos(), -window * phase.sin()])
    return kernels.unsqueeze(1).float()


def _half_band_lowpass() -> Tensor:
    """A low-pass filter with its cutoff at a quarter of the sample rate, [1, 1, LOWPASS_TAPS]."""
    positions = torch.arange(LOWPASS_TAPS, dtype=torch.float64) - LOWPASS_TAPS // 2
    window = torch.hann_window(LOWPASS_TAPS + 2, periodic=False, dtype=torch.float64)[1:-1]
    taps = 0.5 * torch.sinc(positions / 2) * window
    return (taps / taps.sum()).reshape(1, 1, -1).float()
