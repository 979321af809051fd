"""Residual vector quantization, and how its codebooks learn (Defossez et al. 2022, section 3.2).

Codebooks follow the averages of what they stand for, and codes that nothing chooses begin again at a
vector of the batch. EnCodec's own module means to do the same, but forgets the new places of codes with
the next average, lets each process average for itself, and lets the commitment of the first stage alone
reach the encoder.

Legend: B batch, D dimension, V bins, Q codebooks, F frames.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, distributed, nn
from torch.nn import functional

DECAY = 0.99
"""What is kept of the averages at each step, as published."""

DEAD = 0.1
"""A code that is chosen less often than this share of the average begins again."""


@frozen(kw_only=True)
class Quantized:
    """What came of vectors [B, D, F].

    vectors: [B, D, F], the sum of what all stages chose; gradients go straight through it.
    codes: [B, Q, F] int64.
    commitment: the squared distance of what each stage was given to what it chose, averaged over stages,
        dimensions and frames. Its gradients reach the encoder from all of them.
    """

    vectors: Tensor
    codes: Tensor
    commitment: Tensor


class ResidualQuantizer(nn.Module):
    """Stages of which each chooses the vector nearest to what those before it have left, in float32.

    It has no parameters: in training mode the codebooks move with each batch, alike on all processes.
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, *, codebooks: int, bins: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.randn(codebooks, bins, dimension))
        # The moving averages of how often each code is chosen in a batch, and of the sum of what for.
        self.register_buffer("counts", torch.zeros(codebooks, bins))
        self.register_buffer("sums", torch.zeros(codebooks, bins, dimension))

    def forward(self, vectors: Tensor) -> Quantized:
        """vectors [B, D, F]."""
        with torch.autocast(vectors.device.type, enabled=False):
            given = vectors.float().transpose(1, 2)
            residuals, codes, commitments = [given], [], []
            for codebook in self.vectors.unbind():
                codes.append(_nearest(residuals[-1], codebook))
                chosen = functional.embedding(codes[-1], codebook)
                commitments.append(functional.mse_loss(residuals[-1], chosen))
                residuals.append(residuals[-1] - chosen)
            total = given - residuals[-1]
            if self.training:
                self._learn(torch.stack(residuals[:-1]).detach(), torch.stack(codes))
        return Quantized(
            vectors=(given + (total - given).detach()).transpose(1, 2),
            codes=torch.stack(codes, dim=1),
            commitment=torch.stack(commitments).mean(),
        )

    def encode(self, vectors: Tensor) -> Tensor:
        """vectors [B, D, F] -> codes [B, Q, F]."""
        residual = vectors.transpose(1, 2)
        codes = []
        for codebook in self.vectors.unbind():
            codes.append(_nearest(residual, codebook))
            residual = residual - functional.embedding(codes[-1], codebook)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """codes [B, Q, F], or of the first codebooks alone -> vectors [B, D, F]."""
        vectors = self.vectors[: codes.size(1)]
        chosen = [
            functional.embedding(each, codebook)
            for each, codebook in zip(codes.unbind(1), vectors.unbind(), strict=True)
        ]
        return torch.stack(chosen).sum(0).transpose(1, 2)

    @torch.no_grad()
    def _learn(self, residuals: Tensor, codes: Tensor) -> None:
        """Move the codebooks by what each stage was given [Q, B, F, D], and chose [Q, B, F]."""
        codebooks, bins, dimension = self.vectors.shape
        given = residuals.flatten(1, 2)
        chosen = (
            codes.flatten(1) + bins * torch.arange(codebooks, device=codes.device)[:, None]
        ).flatten()
        counts = torch.bincount(chosen, minlength=codebooks * bins).float().view(codebooks, bins)
        sums = torch.zeros_like(self.sums)
        sums.view(-1, dimension).index_add_(0, chosen, given.flatten(0, 1))
        # Where a code that is dead begins again: somewhere in the batch, for each stage elsewhere.
        somewhere = torch.randint(given.size(1), (codebooks, bins, 1), device=given.device)
        fresh = given.gather(1, somewhere.expand(-1, -1, dimension))
        if distributed.is_initialized():
            distributed.all_reduce(counts)
            distributed.all_reduce(sums)
            distributed.broadcast(fresh, src=0)
        self.counts.lerp_(counts, 1 - DECAY)
        self.sums.lerp_(sums, 1 - DECAY)
        least = DEAD * self.counts.mean(1, keepdim=True)
        dead = self.counts < least
        # Twice the least, it has some time to be chosen.
        self.counts.copy_(torch.where(dead, 2 * least, self.counts))
        self.sums.copy_(torch.where(dead.unsqueeze(2), 2 * least.unsqueeze(2) * fresh, self.sums))
        self.vectors.copy_(self.sums / self.counts.unsqueeze(2))


def _nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """The codes [B, F] of the vectors of [V, D] that are nearest to those of [B, F, D]."""
    # The length of the vectors themselves is the same for all codes.
    distances = codebook.square().sum(1) - 2 * vectors @ codebook.T
    return distances.argmin(dim=2)
