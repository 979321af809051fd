"""Diagonal Gaussians over latents: the posterior of a frame and the prior of a token.

Legend: B batch, C latent channels, T text, F frames.
"""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor


@frozen(kw_only=True)
class Gaussian:
    """mean, log_scale: [B, C, T] or [B, C, F]; the scale is the standard deviation."""

    mean: Tensor
    log_scale: Tensor

    @classmethod
    def from_statistics(cls, statistics: Tensor) -> Gaussian:
        """Split what a network put out, [B, 2C, F]: the means, then the log scales."""
        mean, log_scale = statistics.chunk(2, dim=1)
        return cls(mean=mean, log_scale=log_scale)

    def sample(self, noise: Tensor) -> Tensor:
        """The latents that standard normal `noise` [B, C, F] picks."""
        return self.mean + noise * self.log_scale.exp()

    def expand(self, index: Tensor) -> Gaussian:
        """A token's Gaussian for each frame: index [B, F], frame to token -> [B, C, F].

        Frames beyond the utterance have some token too; mask what comes of them.
        """
        token = index.unsqueeze(1).expand(-1, self.mean.size(1), -1)
        return Gaussian(mean=self.mean.gather(2, token), log_scale=self.log_scale.gather(2, token))


def prior_log_likelihood(latent: Tensor, prior: Gaussian) -> Tensor:
    """log N(latent; prior) of every frame under every token, summed over channels (equation 5).

    latent [B, C, F], prior [B, C, T] -> [B, F, T], float32 whatever the autocast. The square is
    multiplied out, so that the whole is one batched matrix product of [latent, latent^2] with the
    prior's coefficients, and no [B, C, F, T] tensor is made.
    """
    with torch.autocast(latent.device.type, enabled=False):
        latent, mean, log_scale = latent.float(), prior.mean.float(), prior.log_scale.float()
        precision = torch.exp(-2 * log_scale)
        constant = (-0.5 * (math.log(2 * math.pi) + mean.square() * precision) - log_scale).sum(
            dim=1, keepdim=True
        )  # [B, 1, T]
        frames = torch.cat([latent, latent.square()], dim=1).transpose(1, 2)  # [B, F, 2C]
        tokens = torch.cat([mean * precision, -0.5 * precision], dim=1)  # [B, 2C, T]
        return torch.baddbmm(constant, frames, tokens)


def kl_divergence(
    prior_latent: Tensor, posterior: Gaussian, prior: Gaussian, frame_mask: Tensor
) -> Tensor:
    """The KL term of the evidence lower bound (equation 4), a frame, in nats.

    prior_latent [B, C, F] is the posterior's sample after the flow, which preserves volume; prior is
    expanded to frames; frame_mask [B, 1, F]. Summed over channels, averaged over frames; float32.
    """
    with torch.autocast(prior_latent.device.type, enabled=False):
        mean, log_scale = prior.mean.float(), prior.log_scale.float()
        distance = (prior_latent.float() - mean).square() * torch.exp(-2 * log_scale)
        divergence = log_scale - posterior.log_scale.float() - 0.5 + 0.5 * distance
        # Where and not a product: padding may hold what is not finite.
        inside = torch.where(frame_mask, divergence, 0.0)
        return inside.sum() / frame_mask.sum()
