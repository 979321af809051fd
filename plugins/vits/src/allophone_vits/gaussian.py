"""Diagonal Gaussians over latents: the posterior per frame and the prior per token.

Legend: B batch, C latent channels, T text, F frames.
"""

from __future__ import annotations

import math

import torch
from attrs import frozen
from torch import Tensor


@frozen(kw_only=True)
class Gaussian:
    """mean, log_scale: [B, C, T] or [B, C, F]; log_scale is the log standard deviation."""

    mean: Tensor
    log_scale: Tensor

    @classmethod
    def from_statistics(cls, statistics: Tensor) -> Gaussian:
        """Split a network's output [B, 2C, F] into means and log scales."""
        mean, log_scale = statistics.chunk(2, dim=1)
        return cls(mean=mean, log_scale=log_scale)

    def sample(self, noise: Tensor) -> Tensor:
        """Reparameterized sample: standard normal noise [B, C, F] -> [B, C, F]."""
        return self.mean + noise * self.log_scale.exp()

    def expand(self, index: Tensor) -> Gaussian:
        """Expand from tokens to frames: index [B, F], the token of each frame -> [B, C, F].

        Padding frames get an arbitrary token; mask the results.
        """
        token = index.unsqueeze(1).expand(-1, self.mean.size(1), -1)
        return Gaussian(mean=self.mean.gather(2, token), log_scale=self.log_scale.gather(2, token))


def prior_log_likelihood(z_p: Tensor, prior: Gaussian) -> Tensor:
    """log N(z_p; m_p, exp(logs_p)) of every frame under every token, summed over channels (section 2.2.1).

    z_p [B, C, F], prior [B, C, T] -> [B, F, T], in float32 also under autocast. The square is
    multiplied out, so that one batched matrix product of [z_p, z_p^2] with the prior's coefficients
    computes everything without a [B, C, F, T] tensor.
    """
    with torch.autocast(z_p.device.type, enabled=False):
        z_p, m_p, logs_p = z_p.float(), prior.mean.float(), prior.log_scale.float()
        precision = torch.exp(-2 * logs_p)
        constant = (-0.5 * (math.log(2 * math.pi) + m_p.square() * precision) - logs_p).sum(
            dim=1, keepdim=True
        )  # [B, 1, T]
        frames = torch.cat([z_p, z_p.square()], dim=1).transpose(1, 2)  # [B, F, 2C]
        tokens = torch.cat([m_p * precision, -0.5 * precision], dim=1)  # [B, 2C, T]
        return torch.baddbmm(constant, frames, tokens)


def negative_log_likelihood(z: Tensor, posterior: Gaussian, frame_mask: Tensor) -> Tensor:
    """-log q(z), in nats per frame and channel.

    z [B, C, F], posterior [B, C, F], frame_mask [B, 1, F]; float32.
    """
    with torch.autocast(z.device.type, enabled=False):
        mean, log_scale = posterior.mean.float(), posterior.log_scale.float()
        squared = 0.5 * (z.float() - mean).square() * torch.exp(-2 * log_scale)
        nats = squared + log_scale + 0.5 * math.log(2 * math.pi)
        return torch.where(frame_mask, nats, 0.0).sum() / (frame_mask.sum() * z.size(1))


def gaussian_kl(true: Gaussian, approximate: Gaussian, mask: Tensor) -> Tensor:
    """KL divergence of `approximate` from `true`, in nats per position and channel.

    Both [B, C, T]; mask [B, 1, T]; float32.
    """
    with torch.autocast(mask.device.type, enabled=False):
        mean, log_scale = approximate.mean.float(), approximate.log_scale.float()
        ratio = true.log_scale.float() - log_scale
        shift = (true.mean.float() - mean) * torch.exp(-log_scale)
        kl = 0.5 * (torch.exp(2 * ratio) + shift.square() - 1) - ratio
        return torch.where(mask, kl, 0.0).sum() / (mask.sum() * kl.size(1))


def kl_loss(z_p: Tensor, posterior: Gaussian, prior: Gaussian, frame_mask: Tensor) -> Tensor:
    """KL term of the evidence lower bound, in nats per frame (section 2.1.3, equations 3 and 4).

    z_p [B, C, F]: the posterior's sample after the volume-preserving flow; prior: expanded to frames;
    frame_mask [B, 1, F]. Summed over channels, averaged over frames; float32.
    """
    with torch.autocast(z_p.device.type, enabled=False):
        m_p, logs_p, logs_q = (
            prior.mean.float(),
            prior.log_scale.float(),
            posterior.log_scale.float(),
        )
        kl = logs_p - logs_q - 0.5 + 0.5 * ((z_p.float() - m_p).square() * torch.exp(-2 * logs_p))
        # `where` instead of a product: padding may hold values that are not finite.
        return torch.where(frame_mask, kl, 0.0).sum() / frame_mask.sum()
