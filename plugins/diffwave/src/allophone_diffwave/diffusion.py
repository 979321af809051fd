"""The diffusion of recordings into noise, step by step, and what learning to see it means (sections 2 and 3).

Legend: B batch, N samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import accumulate

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from allophone_diffwave.config import NoiseConfig


@frozen
class NoiseSchedule:
    """How much of a recording is left after each step of its diffusion.

    signal: the share of the variance that is the recording's, the paper's alpha with a bar; it falls
        from step to step. The rest of it is noise.
    """

    signal: tuple[float, ...]

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
        return len(self.signal)

    def step_of(self, signal: float) -> float:
        """The step after which just this share is left, with a fraction where it lies between two.

        The fraction is counted in amplitudes (appendix B). What lies outside is the nearest step.
        """
        if signal >= self.signal[0]:
            return 0.0
        for below, (before, after) in enumerate(zip(self.signal, self.signal[1:], strict=False)):
            if after <= signal:
                fell = math.sqrt(before) - math.sqrt(signal)
                return below + fell / (math.sqrt(before) - math.sqrt(after))
        return len(self) - 1.0


def diffuse(waveform: Tensor, noise: Tensor, signal: Tensor) -> Tensor:
    """waveform [B, N] and noise [B, N] in shares of variance, `signal` [B] and the rest (equation 2)."""
    signal = signal.unsqueeze(1)
    return signal.sqrt() * waveform + (1 - signal).sqrt() * noise


def noise_loss(seen: Tensor, noise: Tensor) -> Tensor:
    """How far what the denoiser sees is from the noise that was added.

    The mean absolute difference, as published weights were trained with; the paper's algorithm 1 has
    the squared one.
    """
    return functional.l1_loss(seen, noise)


def training_signal(config: NoiseConfig, device: torch.device) -> Tensor:
    """`NoiseSchedule.signal` of training as a tensor [steps]."""
    return torch.tensor(NoiseSchedule.of_training(config).signal, device=device)
