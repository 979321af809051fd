"""The diffusion of recordings into noise, step by step, and the loss of its prediction (sections 2 and 3).

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
    """How much of a recording is left after each step of its diffusion.

    alpha_bar: the share of the variance that is the recording's; it falls from step to step. The rest is
        noise.
    """

    alpha_bar: tuple[float, ...]

    @classmethod
    def adding(cls, betas: Iterable[float]) -> NoiseSchedule:
        """Of the share of noise that each step adds, the paper's beta."""
        return cls(tuple(accumulate((1 - beta for beta in betas), lambda left, keep: left * keep)))

    @classmethod
    def of_training(cls, config: NoiseConfig) -> NoiseSchedule:
        """The one that a denoiser is trained with."""
        rise = (config.last - config.first) / (config.steps - 1)
        return cls.adding(config.first + rise * step for step in range(config.steps))

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def step_of(self, alpha_bar: float) -> float:
        """The step after which just this share is left, with a fraction where it lies between two.

        The fraction is counted in amplitudes (appendix B). What lies outside is the nearest step.
        """
        if alpha_bar >= self.alpha_bar[0]:
            return 0.0
        for below, (before, after) in enumerate(pairwise(self.alpha_bar)):
            if after <= alpha_bar:
                fell = math.sqrt(before) - math.sqrt(alpha_bar)
                return below + fell / (math.sqrt(before) - math.sqrt(after))
        return len(self) - 1.0


def diffuse(waveform: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """waveform [B, N] and noise [B, N] in shares of variance, `alpha_bar` [B] and the rest (equation 2)."""
    alpha_bar = alpha_bar.unsqueeze(1)
    return alpha_bar.sqrt() * waveform + (1 - alpha_bar).sqrt() * noise


def noise_loss(predicted_noise: Tensor, noise: Tensor) -> Tensor:
    """How far the denoiser's prediction is from the noise that was added.

    The mean absolute difference, as published weights were trained with; the paper's algorithm 1 has
    the squared one.
    """
    return functional.l1_loss(predicted_noise, noise)
