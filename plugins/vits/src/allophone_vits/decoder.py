"""The decoder: latents to a waveform, by HiFi-GAN's generator (Kong et al. 2020; VITS, section 2.5.3).

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
from allophone_vits.config import DecoderConfig
from allophone_vits.layers import masked, same_convolution

SLOPE = 0.1
LAST_SLOPE = 0.01
EDGE_KERNEL_SIZE = 7


def activated(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """What a residual block convolves: hidden [B, H, N], mask [B, 1, N] -> [B, H, N]."""
    return masked(functional.leaky_relu(hidden, SLOPE), mask)


class ResidualBlock(nn.Module):
    """Dilated convolutions with residual connections.

    With `paired`, each is followed by one without dilation (HiFi-GAN's first kind of block).
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

    def forward(self, hidden: Tensor, active: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, H, N], mask [B, 1, N] -> [B, H, N]; what is outside the mask is undefined.

        active: what `activated` makes of hidden; parallel blocks begin with the same.
        """
        for index, dilated in enumerate(self.dilated):
            change = dilated(activated(hidden, mask) if index else active)
            if self.plain:
                change = self.plain[index](activated(change, mask))
            hidden = change.add_(hidden)  # In place: memory is what the decoder waits for.
        return hidden


class UpsamplingStage(nn.Module):
    """A transposed convolution, and the mean of parallel residual blocks of several widths."""

    def __init__(self, config: DecoderConfig, stage: int) -> None:
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
        """hidden [B, 2H, N] -> [B, H, N * rate]; mask [B, 1, N * rate] is that of the output."""
        hidden = self.upsample(functional.leaky_relu(hidden, SLOPE))
        # Each block masks what it convolves, but not the sum that goes through it.
        hidden = masked(hidden, mask)
        active = activated(hidden, mask)
        total: Tensor = self.blocks[0](hidden, active, mask)
        for block in self.blocks[1:]:
            total.add_(block(hidden, active, mask))
        return masked(total.div_(len(self.blocks)), mask)


class Decoder(nn.Module):
    """Latents to samples between -1 and 1, `hop_length` of them a frame.

    margin: how many frames before and after it decide a frame's samples.
    """

    def __init__(
        self, config: DecoderConfig, *, latent_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
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

        With a mask, an utterance's samples do not depend on what it is padded with. Computes in the
        type of its own weights.
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


def receptive_margin(config: DecoderConfig) -> int:
    """How many frames before and after it decide a frame's samples.

    Walks back from one frame of output to the interval of input that it is made of.
    """
    edge = EDGE_KERNEL_SIZE // 2
    first, last = -edge, config.hop_length - 1 + edge
    widest = max(
        _reach(size, dilations, paired=config.residual_block == "1")
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


def _reach(kernel_size: int, dilations: tuple[int, ...], *, paired: bool) -> int:
    """Samples to each side that a residual block sees."""
    half = kernel_size // 2
    return sum(half * dilation + (half if paired else 0) for dilation in dilations)
