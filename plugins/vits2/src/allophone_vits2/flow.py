"""Normalizing flow with transformer blocks, which capture long-term dependencies (section 2.3).

The five kinds of coupling layers follow the public implementation. All preserve volume except
"mono_layer_post_residual", which doubles the latents and so has a constant log-determinant.

Legend: B batch, C latent channels, H hidden channels, S speaker channels, F frames.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from allophone.weights.norm import apply_weight_norm
from allophone_vits.config import FlowConfig, TextEncoderConfig
from allophone_vits.flow import AdditiveCoupling, Flow, ResidualCoupling
from allophone_vits.layers import masked, zero_initialised
from allophone_vits.text_encoder import Neighbours, TransformerBlock
from allophone_vits2.config import CAUSAL_FLOW_HEADS, FLOW_HEADS, Vits2FlowConfig
from allophone_vits2.transformer import CausalFeedForward, SelfAttention, Transformer

WINDOW = 4
HALF_LAYERS = 2
HALF_DROPOUT = 0.1


class TransformerCoupling(ResidualCoupling):
    """Coupling with a transformer block between input convolution and WaveNet ("pre_conv2")."""

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
    """Coupling with a transformer on the lower half, before the input convolution ("pre_conv")."""

    def __init__(self, config: FlowConfig, *, channels: int, speaker_channels: int = 0) -> None:
        super().__init__(config, channels=channels, speaker_channels=speaker_channels)
        self.transformer = half_transformer(channels)
        self.margin = sys.maxsize

    def shift(self, lower: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        lower = masked(lower, mask)
        return super().shift(lower + self.transformer(lower, mask), mask, speaker)


class MonoCoupling(ResidualCoupling):
    """VITS's coupling, then a transformer coupling from the upper to the lower half ("mono_layer_...").

    doubling: where the second coupling has its residual connection. True adds its input to its output
        ("mono_layer_post_residual"), which doubles the latents. False adds the transformer's input to the
        transformer's output ("mono_layer_inter_residual").
    log_determinant: of the coupling, in nats per frame.
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
        """Compute the shift of the lower half.

        The flips match the public implementation, which applies this coupling to reversed channels.
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


class CausalTransformerCoupling(AdditiveCoupling):
    """Coupling with a causal transformer block instead of the WaveNet ("fft").

    A gated activation before the block conditions it on the speaker, as in a WaveNet.
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
        residual = masked(self.input(lower), mask)
        hidden = residual
        if self.gate is not None and self.speaker is not None:
            filtered, gate = (self.gate(hidden) + self.speaker(speaker)).chunk(2, dim=1)
            hidden = filtered.tanh() * gate.sigmoid()
        hidden = masked(self.transformer(hidden, None, mask), mask)
        return masked(self.output(residual + hidden), mask)


class Vits2Flow(Flow):
    """The flow of the configured kind.

    log_determinant: of the whole flow, in nats per frame; 0 for the kinds that preserve volume.
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
    """Build a transformer over half of `channels` latent channels."""
    return Transformer(channels // 2, layers=HALF_LAYERS, heads=FLOW_HEADS, dropout=HALF_DROPOUT)


def _coupling(config: Vits2FlowConfig, *, channels: int, speaker_channels: int) -> AdditiveCoupling:
    kinds: dict[str, Callable[..., AdditiveCoupling]] = {
        "pre_conv2": TransformerCoupling,
        "pre_conv": HalfTransformerCoupling,
        "fft": CausalTransformerCoupling,
        "mono_layer_inter_residual": partial(MonoCoupling, doubling=False),
        "mono_layer_post_residual": partial(MonoCoupling, doubling=True),
        "wavenet": ResidualCoupling,
    }
    return kinds[config.kind](config, channels=channels, speaker_channels=speaker_channels)
