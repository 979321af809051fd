"""The alignment search with noise on its scores (section 2.2).

Legend: B batch, C latent channels, T text, F frames.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor

from allophone.alignment import Alignment
from allophone_vits.gaussian import Gaussian, prior_log_likelihood
from allophone_vits.layers import sequence_mask
from allophone_vits.model import best_alignment


@frozen(kw_only=True)
class NoisySearch:
    """VITS's search among scores to which noise is added.

    scale: of the noise, in standard deviations of the scores of each utterance, its padding left out.
    """

    scale: float

    @torch.no_grad()
    def __call__(
        self, prior_latent: Tensor, prior: Gaussian, frame_lengths: Tensor, token_lengths: Tensor
    ) -> Alignment:
        """prior_latent [B, C, F], prior [B, C, T], lengths [B]."""
        scores = prior_log_likelihood(prior_latent, prior)
        noise = torch.randn_like(scores) * self.scale
        deviation = standard_deviation(scores, frame_lengths, token_lengths)
        scores = scores + noise * deviation.view(-1, 1, 1)
        return best_alignment(scores, frame_lengths, token_lengths)


def standard_deviation(scores: Tensor, frame_lengths: Tensor, token_lengths: Tensor) -> Tensor:
    """Of the scores [B, F, T] inside each utterance: [B]."""
    frames = sequence_mask(frame_lengths, scores.size(1)).transpose(1, 2)
    inside = frames & sequence_mask(token_lengths, scores.size(2))
    count = inside.sum(dim=(1, 2))
    mean = torch.where(inside, scores, 0.0).sum(dim=(1, 2)) / count
    deviations = torch.where(inside, scores - mean.view(-1, 1, 1), 0.0)
    return (deviations.square().sum(dim=(1, 2)) / (count - 1).clamp_min(1)).sqrt()
