"""The generator: mel spectrogram to waveform (section 2.2).

Legend: B batch, M mel bands, H hidden channels of a stage, F frames, N samples.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from allophone.weight_norm import apply_weight_norm
from allophone_hifigan.channels_last import (
    Convolution,
    TransposedConvolution,
    channels_innermost,
)
from allophone_hifigan.config import HifiganConfig

SLOPE = 0.1
LAST_SLOPE = 0.01
"""Slopes of the leaky ReLUs; before the last convolution, the published models use PyTorch's default."""

EDGE_KERNEL_SIZE = 7


class Generator(nn.Module):
    """Mels to samples between -1 and 1, `hop_length` samples per frame."""

    def __init__(self, config: HifiganConfig, *, mels: int) -> None:
        super().__init__()
        self.input = _convolution(mels, config.channels, EDGE_KERNEL_SIZE)
        self.stages = nn.ModuleList(
            Stage(config, stage) for stage in range(len(config.upsample_rates))
        )
        last_channels = config.channels >> len(config.upsample_rates)
        self.output = _convolution(last_channels, 1, EDGE_KERNEL_SIZE)

    def forward(self, mel: Tensor) -> Tensor:
        """mel [B, M, F] -> waveform [B, N], float32."""
        hidden = self.input(channels_innermost(mel))
        for stage in self.stages:
            hidden = stage(hidden)
        waveform: Tensor = self.output(functional.leaky_relu(hidden, LAST_SLOPE))
        return waveform.squeeze(1).float().tanh()


class Stage(nn.Module):
    """Upsampling, then the mean of residual blocks with different receptive fields (figure 1)."""

    def __init__(self, config: HifiganConfig, stage: int) -> None:
        super().__init__()
        rate, kernel_size = config.upsample_rates[stage], config.upsample_kernel_sizes[stage]
        channels = config.channels >> (stage + 1)
        self.upsample = apply_weight_norm(
            TransposedConvolution(
                2 * channels,
                channels,
                kernel_size,
                stride=rate,
                padding=(kernel_size - rate + 1) // 2,
                output_padding=(kernel_size - rate) % 2,
            )
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(channels, size, dilations, paired=config.residual_block == "1")
            for size, dilations in zip(
                config.residual_kernel_sizes, config.residual_dilations, strict=True
            )
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden [B, 2H, N] -> [B, H, N * rate]."""
        hidden = self.upsample(functional.leaky_relu(hidden, SLOPE))
        first, *others = self.blocks
        total: Tensor = first(hidden)
        for block in others:
            total += block(hidden)
        return total.div_(len(self.blocks))


class ResidualBlock(nn.Module):
    """Dilated convolutions with residual connections.

    With `paired`, each dilated convolution is followed by one without dilation.
    """

    def __init__(
        self, channels: int, kernel_size: int, dilations: tuple[int, ...], *, paired: bool
    ) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            _convolution(channels, channels, kernel_size, dilation=dilation)
            for dilation in dilations
        )
        self.plain = nn.ModuleList(
            _convolution(channels, channels, kernel_size) for _ in dilations if paired
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden [B, H, N] -> [B, H, N], a new tensor."""
        for index, dilated in enumerate(self.dilated):
            change = dilated(functional.leaky_relu(hidden, SLOPE))
            if self.plain:
                change = self.plain[index](functional.leaky_relu(change, SLOPE, inplace=True))
            hidden = change.add_(hidden)
        return hidden


def _convolution(
    in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1
) -> nn.Module:
    """A convolution whose output is as long as its input."""
    return apply_weight_norm(
        Convolution(
            in_channels,
            out_channels,
            kernel_size,
            dilation=dilation,
            padding=(kernel_size - 1) * dilation // 2,
        )
    )


def receptive_margin(config: HifiganConfig) -> int:
    """The generator's context in frames on each side of a frame.

    Computed from the waveform back to the mel: `reach` is the left context of the first sample of
    a frame at the resolution of each stage; the right context of its last sample is the same.
    """
    edge = EDGE_KERNEL_SIZE // 2
    paired = config.residual_block == "1"
    widest = max(
        sum((kernel_size // 2) * (dilation + paired) for dilation in dilations)
        for kernel_size, dilations in zip(
            config.residual_kernel_sizes, config.residual_dilations, strict=True
        )
    )
    reach = edge
    for rate, kernel_size in zip(
        reversed(config.upsample_rates), reversed(config.upsample_kernel_sizes), strict=True
    ):
        reach += widest + (kernel_size - rate + 1) // 2
        reach = math.ceil(reach / rate)
    return reach + edge
