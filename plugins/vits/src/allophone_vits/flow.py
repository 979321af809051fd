"""The normalising flow between the posterior's latents and the prior's (section 2.5.2).

Affine couplings that only shift: they preserve volume, so the flow has no log-determinant.

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


class ShiftCoupling(nn.Module):
    """Shifts the upper half of the channels by what `shift` makes of the lower half.

    margin: how many frames before and after it decide a frame.
    """

    margin: int

    def shift(self, lower: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        """What is added to the upper half: lower [B, C / 2, F] -> [B, C / 2, F]."""
        raise NotImplementedError

    def forward(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """latent [B, C, F], mask [B, 1, F], speaker [B, S, 1] -> [B, C, F]."""
        lower, upper = latent.chunk(2, dim=1)
        return torch.cat([lower, masked(upper, mask) + self.shift(lower, mask, speaker)], dim=1)

    def inverse(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """Undo `forward`: [B, C, F] -> [B, C, F]."""
        lower, upper = latent.chunk(2, dim=1)
        return torch.cat([lower, masked(upper - self.shift(lower, mask, speaker), mask)], dim=1)


class ResidualCoupling(ShiftCoupling):
    """A coupling whose shift a WaveNet makes."""

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
        # A flow begins as the identity.
        self.output = zero_initialised(nn.Conv1d(config.hidden_channels, channels // 2, 1))

    def shift(self, lower: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        hidden = self.wavenet(masked(self.input(lower), mask), mask, speaker)
        return masked(self.output(hidden), mask)


class Coupling(Protocol):
    """What a flow is made of: a map of latents with an inverse that is as easy to compute.

    margin: how many frames before and after it decide a frame; `sys.maxsize` where all of them do.
    """

    @property
    def margin(self) -> int: ...

    def inverse(
        self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor: ...


class Flow(nn.Module):
    """Couplings, after each of which the channels are reversed, so that the halves take turns.

    margin: how many frames before and after it decide a frame.
    """

    def __init__(self, couplings: Iterable[nn.Module]) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(couplings)
        self.margin = sum(cast(Coupling, coupling).margin for coupling in self.couplings)

    @classmethod
    def from_config(cls, config: FlowConfig, *, channels: int, speaker_channels: int = 0) -> Flow:
        """The flow of VITS over `channels` latent channels."""
        return cls(
            ResidualCoupling(config, channels=channels, speaker_channels=speaker_channels)
            for _ in range(config.couplings)
        )

    def forward(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """The posterior's latents to the prior's: latent [B, C, F], mask [B, 1, F] -> [B, C, F]."""
        for coupling in self.couplings:
            latent = coupling(latent, mask, speaker).flip(1)
        return latent

    def inverse(self, latent: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """The prior's latents to the posterior's: [B, C, F] -> [B, C, F]."""
        for coupling in reversed(self.couplings):
            latent = cast(Coupling, coupling).inverse(latent.flip(1), mask, speaker)
        return latent
