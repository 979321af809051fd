"""The flow of VITS2: couplings with transformers, which see more of the utterance than convolutions
(section 2.3). There are five kinds of them, after the public implementation.

All but one only shift, and preserve volume. The one that doubles what goes through it
("mono_layer_post_residual") has a constant log-determinant, which the flow knows.

Legend: B batch, C latent channels, H hidden channels, S speaker channels, F frames.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from allophone.weight_norm import apply_weight_norm
from allophone_vits.config import FlowConfig, TextEncoderConfig
from allophone_vits.flow import Flow, ResidualCoupling, ShiftCoupling
from allophone_vits.layers import masked, zero_initialised
from allophone_vits.text_encoder import Neighbours, TransformerBlock
from allophone_vits2.config import CAUSAL_FLOW_HEADS, FLOW_HEADS, Vits2FlowConfig
from allophone_vits2.transformer import CausalFeedForward, SelfAttention, Transformer

WINDOW = 4
HALF_LAYERS = 2
HALF_DROPOUT = 0.1


class TransformerCoupling(ResidualCoupling):
    """A transformer block with relative positions between the input and the WaveNet ("pre_conv2")."""

    def __init__(self, config: FlowConfig, *, channels: int, speaker_channels: int = 0) -> None:
        super().__init__(config, channels=channels, speaker_channels=speaker_channels)
        self.transformer = TransformerBlock.from_config(
            TextEncoderConfig(
                hidden_channels=config.hidden_channels,
                feed_forward_channels=config.hidden_channels,
                heads=FLOW_HEADS,
                kernel_size=config.kernel_size,
                window=WINDOW,
                dropout=0.0,
            )
        )
        self.margin = sys.maxsize

    def shift(self, lower: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        hidden = masked(self.input(lower), mask)
        neighbours = Neighbours.of(lower.size(2), WINDOW, lower.device)
        hidden = hidden + masked(self.transformer(hidden, neighbours, mask), mask)
        return masked(self.output(self.wavenet(hidden, mask, speaker)), mask)


class HalfTransformerCoupling(ResidualCoupling):
    """A transformer over the lower half itself, before the input ("pre_conv")."""

    def __init__(self, config: FlowConfig, *, channels: int, speaker_channels: int = 0) -> None:
        super().__init__(config, channels=channels, speaker_channels=speaker_channels)
        self.transformer = half_transformer(channels)
        self.margin = sys.maxsize

    def shift(self, lower: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        lower = masked(lower, mask)
        return super().shift(lower + self.transformer(lower, mask), mask, speaker)


class MonoCoupling(ResidualCoupling):
    """VITS's coupling, and a second one, back to the lower half, of a transformer ("mono_layer_...").

    doubling: whether what goes through the second is added to what comes out of it
        ("mono_layer_post_residual"), so that all is doubled, and the volume with it; otherwise what the
        transformer reads is added to what it says ("mono_layer_inter_residual").
    log_determinant: of the coupling, nats a frame.
    """

    def __init__(
        self, config: FlowConfig, *, channels: int, speaker_channels: int = 0, doubling: bool
    ) -> None:
        super().__init__(config, channels=channels, speaker_channels=speaker_channels)
        self.doubling = doubling
        self.log_determinant = channels * math.log(2) if doubling else 0.0
        self.transformer = half_transformer(channels)
        self.transformer_output = zero_initialised(nn.Conv1d(channels // 2, channels // 2, 1))
        self.margin = sys.maxsize

    def _shift_back(self, upper: Tensor, mask: Tensor | None) -> Tensor:
        """What is added to the lower half.

        In the public implementation the channels have been reversed by then.
        """
        upper = masked(upper.flip(1), mask)
        hidden = self.transformer(upper, mask)
        if not self.doubling:
            hidden = hidden + upper
        return masked(self.transformer_output(hidden), mask).flip(1)

    def forward(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        lower, upper = super().forward(latent, mask, speaker).chunk(2, dim=1)
        shift = self._shift_back(upper, mask)
        scale = 2 if self.doubling else 1
        return torch.cat([scale * masked(lower, mask) + shift, scale * upper], dim=1)

    def inverse(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        lower, upper = latent.chunk(2, dim=1)
        if self.doubling:
            upper = upper / 2
        lower = masked(lower - self._shift_back(upper, mask), mask)
        if self.doubling:
            lower = lower / 2
        return super().inverse(torch.cat([lower, upper], dim=1), mask, speaker)


class CausalTransformerCoupling(ShiftCoupling):
    """A causal transformer block in place of the WaveNet ("fft").

    The speaker comes in as in a WaveNet: by a gate before the block.
    """

    def __init__(
        self, config: Vits2FlowConfig, *, channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        hidden = config.hidden_channels
        self.input = nn.Conv1d(channels // 2, hidden, 1)
        self.gate = nn.Conv1d(hidden, 2 * hidden, 1) if speaker_channels else None
        self.speaker = (
            apply_weight_norm(nn.Conv1d(speaker_channels, 2 * hidden, 1))
            if speaker_channels
            else None
        )
        self.transformer = TransformerBlock(
            SelfAttention(hidden, CAUSAL_FLOW_HEADS, dropout=0.0, causal=True),
            CausalFeedForward(hidden, config.feed_forward_channels, config.kernel_size),
            channels=hidden,
            dropout=0.0,
        )
        self.output = zero_initialised(nn.Conv1d(hidden, channels // 2, 1))
        self.margin = sys.maxsize

    def shift(self, lower: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        entered = masked(self.input(lower), mask)
        hidden = entered
        if self.gate is not None and self.speaker is not None:
            content, opening = (self.gate(hidden) + self.speaker(speaker)).chunk(2, dim=1)
            hidden = content.tanh() * opening.sigmoid()
        hidden = masked(self.transformer(hidden, None, mask), mask)
        return masked(self.output(entered + hidden), mask)


class Vits2Flow(Flow):
    """The flow of the kind that a config names.

    log_determinant: of the whole flow, nats a frame; 0 for all kinds that preserve volume.
    """

    def __init__(
        self, config: Vits2FlowConfig, *, channels: int, speaker_channels: int = 0
    ) -> None:
        couplings = [
            _coupling(config, channels=channels, speaker_channels=speaker_channels)
            for _ in range(config.couplings)
        ]
        super().__init__(couplings)
        self.log_determinant = sum(
            coupling.log_determinant for coupling in couplings if isinstance(coupling, MonoCoupling)
        )


def half_transformer(channels: int) -> Transformer:
    """A transformer over half of `channels` latent channels."""
    return Transformer(channels // 2, layers=HALF_LAYERS, heads=FLOW_HEADS, dropout=HALF_DROPOUT)


def _coupling(config: Vits2FlowConfig, *, channels: int, speaker_channels: int) -> ShiftCoupling:
    kinds: dict[str, Callable[..., ShiftCoupling]] = {
        "pre_conv2": TransformerCoupling,
        "pre_conv": HalfTransformerCoupling,
        "fft": CausalTransformerCoupling,
        "mono_layer_inter_residual": partial(MonoCoupling, doubling=False),
        "mono_layer_post_residual": partial(MonoCoupling, doubling=True),
        "wavenet": ResidualCoupling,
    }
    return kinds[config.kind](config, channels=channels, speaker_channels=speaker_channels)
