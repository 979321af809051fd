"""Monotonic alignment search with Gaussian noise (section 2.2).

Legend: B batch, C latent channels, T text, F frames.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from allophone.alignment import Alignment, monotonic_alignment
from allophone_vits.gaussian import Gaussian, prior_log_likelihood
from allophone_vits.layers import sequence_mask


@frozen(kw_only=True)
class NoisySearch:
    """The search of VITS with Gaussian noise added to the scores.

    scale: scale of the noise relative to the standard deviation of each utterance's scores.
    """

    scale: float

    @torch.no_grad()
    def __call__(
        self, z_p: Tensor, prior: Gaussian, frame_lengths: Tensor, token_lengths: Tensor
    ) -> Alignment:
        """z_p [B, C, F], prior [B, C, T], lengths [B]."""
        scores = prior_log_likelihood(z_p, prior)
        noise = torch.randn_like(scores) * self.scale
        deviation = standard_deviation(scores, frame_lengths, token_lengths)
        scores = scores + noise * deviation.view(-1, 1, 1)
        return monotonic_alignment(scores, frame_lengths, token_lengths)


def standard_deviation(scores: Tensor, frame_lengths: Tensor, token_lengths: Tensor) -> Tensor:
    """Standard deviation of each utterance's scores, without padding: [B, F, T] -> [B]."""
    frames = sequence_mask(frame_lengths, scores.size(1)).transpose(1, 2)
    inside = frames & sequence_mask(token_lengths, scores.size(2))
    count = inside.sum(dim=(1, 2))
    mean = torch.where(inside, scores, 0.0).sum(dim=(1, 2)) / count
    deviations = torch.where(inside, scores - mean.view(-1, 1, 1), 0.0)
    return (deviations.square().sum(dim=(1, 2)) / (count - 1).clamp_min(1)).sqrt()
