"""Small discriminators of waveforms: of periods, of complex spectrograms, and of magnitudes.

Legend: B batch, N samples, H channels, F frames, K frequency bins.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from allophone.training.adversarial import (
    ConvolutionalDiscriminator,
    DiscriminatorOutput,
    PeriodDiscriminator,
)
from allophone_vocos.config import DiscriminatorsConfig
from allophone_vocos.spectral import complex_spectrum, compressed

_MAGNITUDE_LAYERS = 4
"""Of a `MagnitudeDiscriminator`, besides the first and the last."""

_INAUDIBLE = 1e-3
"""Power below which magnitudes are alike, 78 dB below a full sine in a window of 1,024: it hides how samples were rounded."""

_LOG_RANGE = 4.0
"""Divides log powers, to bring them to about -2 to 2."""


class SpectrogramDiscriminator(ConvolutionalDiscriminator):
    """Strided convolutions over the complex spectrogram of one window size.

    As in Defossez et al. 2022, section 3.4, but with compressed magnitudes, and with strides in time and
    frequency instead of dilation, so that most layers see few positions.
    """

    def __init__(self, size: int, channels: int) -> None:
        wide = 2 * channels
        super().__init__(
            [
                _convolution(2, channels, (3, 9), stride=(1, 2)),
                _convolution(channels, channels, (3, 5), stride=(2, 2)),
                _convolution(channels, wide, (3, 3), stride=(2, 2)),
                _convolution(wide, wide, (3, 3)),
                _convolution(wide, 1, (3, 3)),
            ]
        )
        self.size = size

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """waveform: [B, N]."""
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = complex_spectrum(waveform.float(), self.size)
            inputs = compressed(spectrum, spectrum.square().sum(-1))
        # [B, K, F, 2] -> [B, 2, F, K]
        return self.discriminate(inputs.permute(0, 3, 2, 1))


class MagnitudeDiscriminator(ConvolutionalDiscriminator):
    """Convolutions over the frames of log magnitudes; the frequencies are the channels of the first one.

    A frame is judged from all its frequencies at once, at the cost of a few matrix products. What differs between
    frequencies, the convolutions of a `SpectrogramDiscriminator`, which are the same at each, hardly see.
    """

    def __init__(self, size: int, channels: int) -> None:
        first = nn.Conv1d(size // 2 + 1, channels, 3, padding=1)
        further = [nn.Conv1d(channels, channels, 5, padding=2) for _ in range(_MAGNITUDE_LAYERS)]
        output = nn.Conv1d(channels, 1, 3, padding=1)
        super().__init__(parametrizations.weight_norm(layer) for layer in (first, *further, output))
        self.size = size

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """waveform: [B, N]."""
        with torch.autocast(waveform.device.type, enabled=False):
            power = complex_spectrum(waveform.float(), self.size).square().sum(-1)
            log_magnitudes = (power + _INAUDIBLE).log() / _LOG_RANGE
        return self.discriminate(log_magnitudes)


class Discriminators(nn.Module):
    """All discriminators of a config."""

    def __init__(self, config: DiscriminatorsConfig) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
            [
                *(PeriodDiscriminator(period, config.period_channels) for period in config.periods),
                *(
                    SpectrogramDiscriminator(size, config.spectral_channels)
                    for size in config.stft_sizes
                ),
                *(
                    MagnitudeDiscriminator(size, config.magnitude_channels)
                    for size in config.magnitude_sizes
                ),
            ]
        )

    def forward(self, waveform: Tensor) -> tuple[DiscriminatorOutput, ...]:
        """waveform [B, N] -> the output of each discriminator."""
        return tuple(judge(waveform) for judge in self.judges)


def _convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: tuple[int, int],
    *,
    stride: tuple[int, int] = (1, 1),
) -> nn.Module:
    frames, bins = kernel_size
    return parametrizations.weight_norm(
        nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=(frames // 2, bins // 2)
        )
    )
