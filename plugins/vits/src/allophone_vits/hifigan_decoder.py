"""The decoder "hifigan": latents to a waveform with the HiFi-GAN generator (Kong et al. 2020; VITS, section 2.5.3).

Legend: B batch, C latent channels, H hidden channels of a stage, S speaker channels, F frames,
N samples.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone.weight_norm import apply_weight_norm
from allophone_vits.config import HifiganDecoderConfig
from allophone_vits.layers import masked, same_convolution

SLOPE = 0.1
LAST_SLOPE = 0.01
EDGE_KERNEL_SIZE = 7


def masked_leaky_relu(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """hidden [B, H, N], mask [B, 1, N] -> [B, H, N]."""
    return masked(functional.leaky_relu(hidden, SLOPE), mask)


class ResidualBlock(nn.Module):
    """Dilated convolutions with residual connections.

    paired: whether an undilated convolution follows each dilated one (HiFi-GAN's ResBlock1).
    """

    def __init__(
        self, channels: int, kernel_size: int, dilations: tuple[int, ...], *, paired: bool
    ) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(
            apply_weight_norm(same_convolution(channels, channels, kernel_size, dilation=dilation))
            for dilation in dilations
        )
        self.plain = nn.ModuleList(
            apply_weight_norm(same_convolution(channels, channels, kernel_size))
            for _ in (dilations if paired else ())
        )

    def forward(self, hidden: Tensor, activated: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, H, N], mask [B, 1, N] -> [B, H, N]; values outside the mask are undefined.

        activated: `masked_leaky_relu(hidden, mask)`, computed once for all parallel blocks.
        """
        for index, dilated in enumerate(self.dilated):
            change = dilated(masked_leaky_relu(hidden, mask) if index else activated)
            if self.plain:
                change = self.plain[index](masked_leaky_relu(change, mask))
            hidden = change.add_(hidden)  # In place: the decoder is memory-bound.
        return hidden


class UpsamplingStage(nn.Module):
    """Transposed convolution, then the mean of parallel residual blocks (multi-receptive-field fusion)."""

    def __init__(self, config: HifiganDecoderConfig, stage: int) -> None:
        super().__init__()
        self.rate = config.upsample_rates[stage]
        kernel_size = config.upsample_kernel_sizes[stage]
        channels = config.channels >> (stage + 1)
        self.upsample = apply_weight_norm(
            nn.ConvTranspose1d(
                2 * channels,
                channels,
                kernel_size,
                stride=self.rate,
                padding=(kernel_size - self.rate) // 2,
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
        activated = masked_leaky_relu(hidden, mask)
        total: Tensor = self.blocks[0](hidden, activated, mask)
        for block in self.blocks[1:]:
            total.add_(block(hidden, activated, mask))
        return masked(total.div_(len(self.blocks)), mask)


class HifiganDecoder(nn.Module):
    """Latents to samples in [-1, 1], `hop_length` per frame.

    margin: frames of context on each side that a frame's samples depend on.
    """

    def __init__(
        self, config: HifiganDecoderConfig, *, latent_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        self.in_channels = latent_channels
        self.hop_length = config.hop_length
        self.margin = receptive_margin(config)
        self.input = same_convolution(latent_channels, config.channels, EDGE_KERNEL_SIZE)
        self.speaker = nn.Conv1d(speaker_channels, config.channels, 1) if speaker_channels else None
        self.stages = nn.ModuleList(
            UpsamplingStage(config, stage) for stage in range(len(config.upsample_rates))
        )
        last_channels = config.channels >> len(config.upsample_rates)
        self.output = nn.Conv1d(
            last_channels, 1, EDGE_KERNEL_SIZE, padding=EDGE_KERNEL_SIZE // 2, bias=False
        )

    def forward(
        self, latent: Tensor, mask: Tensor | None = None, speaker: Tensor | None = None
    ) -> Tensor:
        """latent [B, C, F], mask [B, 1, F], speaker [B, S, 1] -> waveform [B, N], float32.

        With a mask, an utterance's samples do not depend on its padding. Computes in the dtype of the
        weights.
        """
        precision = self.input.weight.dtype
        hidden = self.input(masked(latent.to(precision), mask))
        if self.speaker is not None and speaker is not None:
            hidden = hidden + self.speaker(speaker.to(precision))
        hidden = masked(hidden, mask)
        for stage in self.stages:
            mask = (
                None
                if mask is None
                else torch.repeat_interleave(mask, cast(int, stage.rate), dim=2)
            )
            hidden = stage(hidden, mask)
        waveform = self.output(functional.leaky_relu(hidden, LAST_SLOPE)).squeeze(1)
        return masked(waveform.float().tanh(), None if mask is None else mask.squeeze(1))


def receptive_margin(config: HifiganDecoderConfig) -> int:
    """Return the frames of context on each side that a frame's samples depend on.

    Propagates the sample interval of one frame backward through the layers to an interval of frames.
    """
    edge = EDGE_KERNEL_SIZE // 2
    first, last = -edge, config.hop_length - 1 + edge
    widest = max(
        _receptive_radius(size, dilations, paired=config.residual_block == "1")
        for size, dilations in zip(
            config.residual_kernel_sizes, config.residual_dilations, strict=True
        )
    )
    for rate, kernel in reversed(
        list(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True))
    ):
        first, last = first - widest, last + widest
        padding = (kernel - rate) // 2
        # Input i of a transposed convolution reaches outputs i * rate - padding + (0 .. kernel - 1).
        first = math.ceil((first + padding - kernel + 1) / rate)
        last = (last + padding) // rate
    return max(edge - first, last + edge)


def _receptive_radius(kernel_size: int, dilations: tuple[int, ...], *, paired: bool) -> int:
    """Receptive field of a residual block, in samples on each side."""
    half = kernel_size // 2
    return sum(half * dilation + (half if paired else 0) for dilation in dilations)
