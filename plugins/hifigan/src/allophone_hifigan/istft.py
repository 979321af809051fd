"""The generator of iSTFTNet, and its multi-band and multi-stream forms (Kaneko et al. 2022; Kawamura et al. 2023).

The last stages of HiFi-GAN, which have most positions, are replaced by an inverse STFT of a few samples, and with
bands by a filter bank too.

Legend: B batch, C channels of the features, S speaker channels, F frames, P positions after the stages, K = n_fft / 2 + 1
frequency bins, D bands, N samples.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone.weights.norm import apply_weight_norm
from allophone_hifigan.channels_last import channels_innermost
from allophone_hifigan.config import IstftConfig
from allophone_hifigan.filter_bank import REACH, FilterBank
from allophone_hifigan.upsampling import (
    EDGE_KERNEL_SIZE,
    LAST_SLOPE,
    Stages,
    input_context,
    masked,
    same_convolution,
)

LARGEST_MAGNITUDE = 100.0
"""Limit of predicted magnitudes; those of waveforms between -1 and 1 are at most half of n_fft."""


class IstftGenerator(nn.Module):
    """Frames of features, such as a mel or latents, to samples, `hop_length` per frame.

    in_channels: of the features; speaker_channels: of the speaker embedding, 0 for none.
    margin: frames of context on each side that a frame's samples depend on.
    sub_bands: whether `bands` are those of a filter bank, which `split` gives of a recording.
    """

    def __init__(self, config: IstftConfig, *, in_channels: int, speaker_channels: int = 0) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.hop_length = config.hop_length
        self.margin = receptive_margin(config)
        self.sub_bands = config.sub_bands
        self._bands = config.bands
        self._rate = math.prod(config.upsample_rates)
        self._largest_phase = config.largest_phase
        self.input = same_convolution(in_channels, config.channels, EDGE_KERNEL_SIZE)
        self.speaker = nn.Conv1d(speaker_channels, config.channels, 1) if speaker_channels else None
        self.stages = Stages(config)
        last_channels = config.channels >> len(config.upsample_rates)
        self.output = same_convolution(
            last_channels, config.bands * (config.n_fft + 2), EDGE_KERNEL_SIZE
        )
        self.inverse = InverseStft(config.n_fft, config.istft_hop_length)
        self.filters: nn.Module | None = None
        if self.sub_bands:
            self.filters = FilterBank(config.bands)
        elif config.bands > 1:
            self.filters = apply_weight_norm(
                nn.ConvTranspose1d(
                    config.bands,
                    1,
                    2 * REACH + 1,
                    stride=config.bands,
                    padding=REACH,
                    output_padding=config.bands - 1,
                    bias=False,
                )
            )

    def forward(
        self, features: Tensor, mask: Tensor | None = None, speaker: Tensor | None = None
    ) -> Tensor:
        """features [B, C, F], mask [B, 1, F], speaker [B, S, 1] -> waveform [B, N], float32.

        With a mask, an utterance's samples do not depend on its padding. Computes in the dtype of the weights, the
        inverse STFT and the filters in float32.
        """
        return self.join(self.bands(features, mask, speaker), mask)

    def bands(
        self, features: Tensor, mask: Tensor | None = None, speaker: Tensor | None = None
    ) -> Tensor:
        """As `forward`, before the filters: [B, D, N / D]; one band is the waveform."""
        precision = self.output.weight.dtype
        features = features.to(precision)
        if not self.training:  # In training, the layout is slower.
            features = channels_innermost(features)
        hidden = self.input(masked(features, mask))
        if self.speaker is not None and speaker is not None:
            hidden = hidden + self.speaker(speaker.to(precision))
        hidden = self.stages(masked(hidden, mask), mask)
        hidden = functional.leaky_relu(hidden, LAST_SLOPE)
        # One more spectrum than positions, since the first is centred on the first sample: reflected at the start.
        spectra = self.output(torch.cat([hidden[:, :, 1:2], hidden], dim=2))
        inside = None
        if mask is not None:
            inside = torch.repeat_interleave(mask, self._rate, dim=2)
            inside = torch.cat([inside[:, :, :1], inside], dim=2)
        with torch.autocast(spectra.device.type, enabled=False):
            spectra = torch.unflatten(spectra.float(), 1, (self._bands, -1)).flatten(0, 1)
            log_magnitude, phase = spectra.chunk(2, dim=1)
            magnitude = log_magnitude.exp().clamp(max=LARGEST_MAGNITUDE)
            phase = self._largest_phase * phase.sin()
            if inside is not None:
                inside = inside.repeat_interleave(self._bands, dim=0)
            bands: Tensor = self.inverse(magnitude * phase.cos(), magnitude * phase.sin(), inside)
            bands = torch.unflatten(bands.squeeze(1), 0, (-1, self._bands))
        return masked(bands, self._upsampled(mask, self.hop_length // self._bands))

    def join(self, bands: Tensor, mask: Tensor | None = None) -> Tensor:
        """Bands [B, D, N / D], mask [B, 1, F] -> waveform [B, N]."""
        filters = self.filters
        if filters is not None:
            if not isinstance(filters, FilterBank):
                bands = bands.to(filters.weight.dtype)  # type: ignore[arg-type]
            with torch.autocast(bands.device.type, enabled=False):
                bands = masked(filters(bands).float(), self._upsampled(mask, self.hop_length))
        return bands.squeeze(1)

    def split(self, waveform: Tensor) -> Tensor:
        """The bands of a recording: [B, N] -> [B, D, N / D], float32; only with `sub_bands`."""
        assert isinstance(self.filters, FilterBank)
        with torch.autocast(waveform.device.type, enabled=False):
            return self.filters.split(waveform.float())

    def _upsampled(self, mask: Tensor | None, rate: int) -> Tensor | None:
        return None if mask is None else torch.repeat_interleave(mask, rate, dim=2)


class InverseStft(nn.Module):
    """Spectra to samples, with a Hann window of `n_fft` samples, as `torch.istft` does with `center`.

    P + 1 spectra give P * hop_length samples; the first spectrum is centred on the first sample. A transposed
    convolution: with so few samples it is faster than an FFT, and every runtime has it.
    """

    waves: Tensor
    window: Tensor

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        self.hop_length = hop_length
        self.padding = n_fft // 2
        window = torch.hann_window(n_fft, dtype=torch.float64)
        bins = n_fft // 2 + 1
        angles = torch.outer(torch.arange(bins), torch.arange(n_fft)).double()
        angles *= 2 * math.pi / n_fft
        # All bins but the first and last stand for two.
        scale = torch.full((bins, 1), 2 / n_fft, dtype=torch.float64)
        scale[0] = scale[-1] = 1 / n_fft
        waves = torch.cat([scale * angles.cos(), -scale * angles.sin()]) * window
        self.register_buffer("waves", waves.unsqueeze(1).float(), persistent=False)
        self.register_buffer("window", window.square().view(1, 1, -1).float(), persistent=False)

    def forward(self, real: Tensor, imaginary: Tensor, mask: Tensor | None = None) -> Tensor:
        """real, imaginary [B, K, P + 1] float32, mask [B, 1, P + 1] -> [B, 1, P * hop_length].

        Spectra outside the mask add nothing; without a mask all count.
        """
        spectra = masked(torch.cat([real, imaginary], dim=1), mask)
        ones = torch.ones_like(real[:1, :1]) if mask is None else mask.to(real.dtype)
        total = self._overlap_add(ones, self.window)
        # Past the end of an utterance, no window says what to divide by.
        return self._overlap_add(spectra, self.waves) / total.clamp_min(1e-8)

    def _overlap_add(self, values: Tensor, kernel: Tensor) -> Tensor:
        return functional.conv_transpose1d(
            values, kernel.float(), stride=self.hop_length, padding=self.padding
        )


def receptive_margin(config: IstftConfig) -> int:
    """The generator's context in frames on each side of a frame, from its samples back to the frames."""
    first, last = 0, config.hop_length - 1
    if config.bands > 1:
        first, last = math.ceil((first - REACH) / config.bands), (last + REACH) // config.bands
    # Spectrum s reaches samples s * hop - n_fft / 2 + (1 .. n_fft - 1): the window begins with a zero.
    hop, half, edge = config.istft_hop_length, config.n_fft // 2, EDGE_KERNEL_SIZE // 2
    first, last = math.ceil((first - half + 1) / hop) - edge, (last + half - 1) // hop + edge
    # Spectrum s is that of position s - 1.
    first, last = input_context(config, first - 1, last - 1)
    return max(-first, last)
