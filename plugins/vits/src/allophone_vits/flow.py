"""Normalizing flow f between the posterior's latents z and the prior's latents z_p (section 2.5.2).

The coupling layers only add a shift, so the flow preserves volume: its log-determinant is 0.

Legend: B batch, C latent channels, H hidden channels, S speaker channels, F frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from allophone_vits.config import FlowConfig
from allophone_vits.layers import masked, zero_initialised
from allophone_vits.wavenet import WaveNet


class AdditiveCoupling(nn.Module):
    """Adds a function of the lower half of the channels to the upper half.

    margin: frames of context on each side that an output frame depends on.
    """

    margin: int

    def shift(self, lower: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        """Compute the shift of the upper half: lower [B, C / 2, F] -> [B, C / 2, F]."""
        raise NotImplementedError

    def forward(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """latent [B, C, F], mask [B, 1, F], speaker [B, S, 1] -> [B, C, F]."""
        lower, upper = latent.chunk(2, dim=1)
        return torch.cat([lower, masked(upper, mask) + self.shift(lower, mask, speaker)], dim=1)

    def inverse(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """Invert `forward`: [B, C, F] -> [B, C, F]."""
        lower, upper = latent.chunk(2, dim=1)
        return torch.cat([lower, masked(upper - self.shift(lower, mask, speaker), mask)], dim=1)


class ResidualCoupling(AdditiveCoupling):
    """Additive coupling whose shift is computed by a WaveNet."""

    def __init__(self, config: FlowConfig, *, channels: int, speaker_channels: int = 0) -> None:
        super().__init__()
        self.input = nn.Conv1d(channels // 2, config.hidden_channels, 1)
        self.wavenet = WaveNet(
            config.hidden_channels,
            layers=config.layers,
            kernel_size=config.kernel_size,
            speaker_channels=speaker_channels,
        )
        self.margin = config.layers * (config.kernel_size // 2)
        # The flow starts as the identity.
        self.output = zero_initialised(nn.Conv1d(config.hidden_channels, channels // 2, 1))

    def shift(self, lower: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        hidden = self.wavenet(masked(self.input(lower), mask), mask, speaker)
        return masked(self.output(hidden), mask)


class Coupling(Protocol):
    """An invertible layer of a flow.

    margin: frames of context on each side that an output frame depends on; `sys.maxsize` for all.
    """

    @property
    def margin(self) -> int: ...

    def inverse(
        self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor: ...


class Flow(nn.Module):
    """Coupling layers, each followed by a reversal of the channels, which swaps the halves.

    margin: frames of context on each side that an output frame depends on.
    """

    def __init__(self, couplings: Iterable[nn.Module]) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(couplings)
        self.margin = sum(cast(Coupling, coupling).margin for coupling in self.couplings)

    @classmethod
    def from_config(cls, config: FlowConfig, *, channels: int, speaker_channels: int = 0) -> Flow:
        """Build the flow of VITS for `channels` latent channels."""
        return cls(
            ResidualCoupling(config, channels=channels, speaker_channels=speaker_channels)
            for _ in range(config.couplings)
        )

    def forward(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """Map z to z_p: latent [B, C, F], mask [B, 1, F] -> [B, C, F]."""
        for coupling in self.couplings:
            latent = coupling(latent, mask, speaker).flip(1)
        return latent

    def inverse(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """Map z_p to z: [B, C, F] -> [B, C, F]."""
        for coupling in reversed(self.couplings):
            latent = cast(Coupling, coupling).inverse(latent.flip(1), mask, speaker)
        return latent
