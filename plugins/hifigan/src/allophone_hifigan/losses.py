"""The adversarial losses and feature matching (section 2.4), in float32, summed over discriminators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from allophone_hifigan.discriminators import Judgement


def discriminator_loss(recorded: Sequence[Judgement], generated: Sequence[Judgement]) -> Tensor:
    """What is recorded should score 1 and what is generated 0, in least squares (equation 1)."""
    return _sum(
        (1 - real.score.float()).square().mean() + fake.score.float().square().mean()
        for real, fake in zip(recorded, generated, strict=True)
    )


def adversarial_loss(generated: Sequence[Judgement]) -> Tensor:
    """What is generated should score 1 (equation 2)."""
    return _sum((1 - fake.score.float()).square().mean() for fake in generated)


def feature_matching_loss(recorded: Sequence[Judgement], generated: Sequence[Judgement]) -> Tensor:
    """Layers should make the same of both: L1, summed over layers too (equation 4)."""
    return _sum(
        (seen_real.float() - seen_fake.float()).abs().mean()
        for real, fake in zip(recorded, generated, strict=True)
        for seen_real, seen_fake in zip(real.features, fake.features, strict=True)
    )


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
