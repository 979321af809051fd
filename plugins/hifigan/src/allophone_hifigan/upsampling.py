"""Upsampling of frames by stages of convolutions, as HiFi-GAN and iSTFTNet do (Kong et al. 2020, section 2.2).

Legend: B batch, H hidden channels of a stage, N positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone.weights.norm import apply_weight_norm
from allophone_hifigan.channels_last import Convolution, TransposedConvolution
from allophone_hifigan.config import UpsamplingConfig

SLOPE = 0.1
LAST_SLOPE = 0.01
"""Slopes of the leaky ReLUs; before the last convolution, the published models use PyTorch's default."""

EDGE_KERNEL_SIZE = 7
"""Of the convolutions before and after the stages."""


class Stages(nn.ModuleList):
    """All stages of a config."""

    def __init__(self, config: UpsamplingConfig) -> None:
        super().__init__(Stage(config, stage) for stage in range(len(config.upsample_rates)))
        self.rates = config.upsample_rates

    def forward(self, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
        """hidden [B, H, N], mask [B, 1, N] -> [B, H / 2 ** stages, N * rates], zero outside the mask.

        With a mask, an utterance's values do not depend on its padding.
        """
        for stage, rate in zip(self, self.rates, strict=True):
            mask = None if mask is None else torch.repeat_interleave(mask, rate, dim=2)
            hidden = stage(hidden, mask)
        return hidden


class Stage(nn.Module):
    """Upsampling, then the mean of residual blocks with different receptive fields (figure 1)."""

    def __init__(self, config: UpsamplingConfig, stage: int) -> None:
        super().__init__()
        rate, kernel_size = config.upsample_rates[stage], config.upsample_kernel_sizes[stage]
        channels = config.channels >> (stage + 1)
        self.upsample = apply_weight_norm(
            TransposedConvolution(
                2 * channels,
                channels,
                kernel_size,
                stride=rate,
                padding=_upsampling_padding(rate, kernel_size),
                output_padding=(kernel_size - rate) % 2,
            )
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(channels, size, dilations, paired=config.residual_block == "1")
            for size, dilations in zip(
                config.residual_kernel_sizes, config.residual_dilations, strict=True
            )
        )

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, 2H, N] -> [B, H, N * rate]; mask [B, 1, N * rate] is the output's."""
        hidden = self.upsample(functional.leaky_relu(hidden, SLOPE))
        # The blocks mask the inputs of their convolutions but not the residual branch.
        hidden = masked(hidden, mask)
        activated = _activated(hidden, mask)
        first, *others = self.blocks
        total: Tensor = first(hidden, activated, mask)
        for block in others:
            total.add_(block(hidden, activated, mask))
        return masked(total.div_(len(self.blocks)), mask)


class ResidualBlock(nn.Module):
    """Dilated convolutions with residual connections.

    With `paired`, each dilated convolution is followed by one without dilation.
    """

    def __init__(
        self, channels: int, kernel_size: int, dilations: tuple[int, ...], *, paired: bool
    ) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            same_convolution(channels, channels, kernel_size, dilation=dilation)
            for dilation in dilations
        )
        self.plain = nn.ModuleList(
            same_convolution(channels, channels, kernel_size) for _ in dilations if paired
        )

    def forward(self, hidden: Tensor, activated: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, H, N], mask [B, 1, N] -> [B, H, N], a new tensor; values outside the mask are undefined.

        activated: `hidden` after the leaky ReLU, computed once for all parallel blocks.
        """
        for index, dilated in enumerate(self.dilated):
            change = dilated(_activated(hidden, mask) if index else activated)
            if self.plain:
                change = self.plain[index](_activated(change, mask))
            hidden = change.add_(hidden)  # In place: the network is memory-bound.
        return hidden


def same_convolution(
    in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1
) -> Convolution:
    """A weight-normed convolution whose output is as long as its input."""
    return apply_weight_norm(
        Convolution(
            in_channels,
            out_channels,
            kernel_size,
            dilation=dilation,
            padding=(kernel_size - 1) * dilation // 2,
        )
    )


def masked(values: Tensor, mask: Tensor | None) -> Tensor:
    """Zero `values` [B, H, N] outside `mask` [B, 1, N]; no-op if it is None, as for utterances without padding."""
    return values if mask is None else values * mask


def _activated(hidden: Tensor, mask: Tensor | None) -> Tensor:
    return masked(functional.leaky_relu(hidden, SLOPE), mask)


def input_context(config: UpsamplingConfig, first: int, last: int) -> tuple[int, int]:
    """The first and the last frame that the outputs `first` to `last` of the stages depend on.

    Counts the convolution before the stages.
    """
    widest = max(
        sum(size // 2 * (dilation + (config.residual_block == "1")) for dilation in dilations)
        for size, dilations in zip(
            config.residual_kernel_sizes, config.residual_dilations, strict=True
        )
    )
    for rate, kernel in reversed(
        list(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True))
    ):
        padding = _upsampling_padding(rate, kernel)
        # Input i of a transposed convolution reaches outputs i * rate - padding + (0 .. kernel - 1).
        first = math.ceil((first - widest + padding - kernel + 1) / rate)
        last = (last + widest + padding) // rate
    edge = EDGE_KERNEL_SIZE // 2
    return first - edge, last + edge


def _upsampling_padding(rate: int, kernel_size: int) -> int:
    return (kernel_size - rate + 1) // 2
