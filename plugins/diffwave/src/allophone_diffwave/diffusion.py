"""The forward diffusion process, and the training loss (sections 2 and 3).

Legend: B batch, N samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate, pairwise

from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone_diffwave.config import NoiseConfig


@frozen
class NoiseSchedule:
    """A noise schedule.

    alpha_bar: the fraction of the variance that comes from the recording after each step; it decreases
        from step to step. The rest is noise.
    """

    alpha_bar: tuple[float, ...]

    @classmethod
    def from_betas(cls, betas: Iterable[float]) -> NoiseSchedule:
        """The schedule of `betas`, the variance of the noise added in each step."""
        return cls(tuple(accumulate((1 - beta for beta in betas), lambda left, keep: left * keep)))

    @classmethod
    def from_config(cls, config: NoiseConfig) -> NoiseSchedule:
        """The schedule of training: linearly spaced betas."""
        rise = (config.last - config.first) / (config.steps - 1)
        return cls.from_betas(config.first + rise * step for step in range(config.steps))

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def fractional_step(self, alpha_bar: float) -> float:
        """The training step with this `alpha_bar`, interpolated between two steps.

        Interpolation is linear in the amplitude (appendix B). Values outside of the range give the nearest step.
        """
        if alpha_bar >= self.alpha_bar[0]:
            return 0.0
        for below, (before, after) in enumerate(pairwise(self.alpha_bar)):
            if after <= alpha_bar:
                fell = math.sqrt(before) - math.sqrt(alpha_bar)
                return below + fell / (math.sqrt(before) - math.sqrt(after))
        return len(self) - 1.0


def diffuse(waveform: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Add `noise` [B, N] to `waveform` [B, N] at the levels `alpha_bar` [B] (equation 2)."""
    alpha_bar = alpha_bar.unsqueeze(1)
    return alpha_bar.sqrt() * waveform + (1 - alpha_bar).sqrt() * noise


def noise_loss(predicted_noise: Tensor, noise: Tensor) -> Tensor:
    """The L1 distance between the predicted and the added noise, a scalar.

    The published weights were trained with L1; algorithm 1 of the paper has the squared error.
    """
    return functional.l1_loss(predicted_noise, noise)
