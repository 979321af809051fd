"""The losses of adversarial training (section 2.3): least squares, and feature matching.

All in float32: sums over layers of half-precision features lose what they are there to tell.
"""

from __future__ import annotations

import torch
from torch import Tensor

from allophone_vits.discriminator import Verdict


def discriminator_loss(verdict: Verdict) -> Tensor:
    """Real should score 1, generated 0 (equation 8), summed over discriminators."""
    return torch.stack(
        [
            (1 - real.score.float()).square().mean() + generated.score.float().square().mean()
            for real, generated in zip(verdict.real, verdict.generated, strict=True)
        ]
    ).sum()


def adversarial_loss(verdict: Verdict) -> Tensor:
    """Generated should score 1 (equation 9), summed over discriminators."""
    return torch.stack(
        [(1 - generated.score.float()).square().mean() for generated in verdict.generated]
    ).sum()


def feature_matching_loss(verdict: Verdict) -> Tensor:
    """L1 between what the layers make of real and of generated (equation 10), summed over layers.

    Real features are no target to be moved: gradients go to the generated ones.
    """
    return torch.stack(
        [
            (real_feature.detach().float() - feature.float()).abs().mean()
            for real, generated in zip(verdict.real, verdict.generated, strict=True)
            for real_feature, feature in zip(real.features, generated.features, strict=True)
        ]
    ).sum()
