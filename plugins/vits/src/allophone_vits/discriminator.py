"""Discriminators: one scale discriminator and one per period (section 2.5.4)."""

from __future__ import annotations

from torch import Tensor, nn

from allophone.training.adversarial import (
    DiscriminatorOutput,
    PeriodDiscriminator,
    ScaleDiscriminator,
)
from allophone_vits.config import DiscriminatorConfig
from allophone_vocos.config import DiscriminatorsConfig
from allophone_vocos.discriminators import Discriminators


class Discriminator(nn.Module):
    """All discriminators: the scale discriminator first, then the period discriminators in order."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        *strided, _, _ = config.scale_channels
        self.judges = nn.ModuleList(
            [
                ScaleDiscriminator(
                    config.scale_channels,
                    kernel_sizes=(15, *[41] * len(strided), 5),
                    strides=(1, *[4] * len(strided), 1),
                    # Four input channels per group, as in HiFi-GAN's scale discriminator.
                    groups=(1, *(size // 4 for size in strided), 1),
                ),
                *(PeriodDiscriminator(period, config.period_channels) for period in config.periods),
            ]
        )

    def forward(self, waveform: Tensor) -> tuple[DiscriminatorOutput, ...]:
        """waveform [B, N] -> one output per discriminator; B batch, N samples."""
        return tuple(discriminator(waveform) for discriminator in self.judges)


def build_discriminator(config: DiscriminatorConfig | DiscriminatorsConfig) -> nn.Module:
    """Build the discriminators of a config; the module's pass is that of `Discriminator`."""
    if isinstance(config, DiscriminatorsConfig):
        return Discriminators(config)
    return Discriminator(config)
