"""The discriminators: multi-period and multi-scale (section 2.3), STFT and constant-Q.

Legend: B batch, H hidden channels, N samples, K frequency bins, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from allophone.training.adversarial import (
    SLOPE,
    ConvolutionalDiscriminator,
    DiscriminatorOutput,
    PeriodDiscriminator,
    ScaleDiscriminator,
)
from allophone_hifigan.config import DiscriminatorsConfig
from allophone_hifigan.transforms import ConstantQTransform, ShortTimeFourierTransform


class SpectralDiscriminator(ConvolutionalDiscriminator):
    """Convolutions over a complex spectrogram (Defossez et al. 2022, section 3.4; Gu et al. 2023, section 2.2).

    For constant-Q, each octave has its own input convolution.
    """

    def __init__(
        self, transform: ShortTimeFourierTransform | ConstantQTransform, channels: int
    ) -> None:
        wide, square = (3, 9), (3, 3)
        super().__init__(
            [
                _image_convolution(2, channels, wide),
                *(
                    _image_convolution(channels, channels, wide, dilation=dilation, stride=2)
                    for dilation in (1, 2, 4)
                ),
                _image_convolution(channels, channels, square),
                _image_convolution(channels, 1, square),
            ],
            slope=0.2 if isinstance(transform, ShortTimeFourierTransform) else SLOPE,
        )
        self.transform = transform
        octaves = transform.octaves if isinstance(transform, ConstantQTransform) else 0
        self.octaves = nn.ModuleList(_image_convolution(2, 2, wide) for _ in range(octaves))

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """waveform [B, N]."""
        spectrum = self.transform(waveform)
        if self.octaves:
            bands = spectrum.chunk(len(self.octaves), dim=3)
            filtered = [octave(band) for octave, band in zip(self.octaves, bands, strict=True)]
            spectrum = torch.cat(filtered, dim=3)
        return self.discriminate(spectrum)


class Discriminators(nn.Module):
    """All discriminators of a config."""

    def __init__(self, config: DiscriminatorsConfig) -> None:
        super().__init__()
        self.periods = nn.ModuleList(
            PeriodDiscriminator(period, config.period_channels) for period in config.periods
        )
        self.scales = nn.ModuleList(
            ScaleDiscriminator(
                config.scale_channels,
                kernel_sizes=(15, 41, 41, 41, 41, 41, 5),
                strides=(1, 2, 2, 4, 4, 1, 1),
                groups=(1, 4, 16, 16, 16, 16, 1),
                # As published, spectral norm stabilises the discriminator of the full-rate waveform.
                norm=parametrizations.weight_norm if scale else parametrizations.spectral_norm,
            )
            for scale in range(config.scales)
        )
        transforms: list[ShortTimeFourierTransform | ConstantQTransform] = [
            *(ShortTimeFourierTransform(size) for size in config.stft_sizes),
            *(ConstantQTransform(each) for each in config.constant_q),
        ]
        self.spectra = nn.ModuleList(
            SpectralDiscriminator(transform, config.spectral_channels) for transform in transforms
        )

    def forward(self, waveform: Tensor) -> tuple[DiscriminatorOutput, ...]:
        """waveform [B, N] -> the output of each discriminator."""
        outputs = [discriminator(waveform) for discriminator in (*self.periods, *self.spectra)]
        averaged = waveform
        for scale, discriminator in enumerate(self.scales):
            if scale:
                averaged = functional.avg_pool1d(averaged.unsqueeze(1), 4, 2, padding=2).squeeze(1)
            outputs.append(discriminator(averaged))
        return tuple(outputs)


def _image_convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: tuple[int, int],
    *,
    dilation: int = 1,
    stride: int = 1,
) -> nn.Module:
    """A convolution over [B, H, F, K], with dilation in time and stride in frequency."""
    frames, bins = kernel_size
    return parametrizations.weight_norm(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=(1, stride),
            dilation=(dilation, 1),
            padding=(frames // 2 * dilation, bins // 2),
        )
    )
