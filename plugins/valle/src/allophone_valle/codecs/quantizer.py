"""Residual vector quantization with EMA codebooks (Defossez et al. 2022, section 3.2).

Codebooks are exponential moving averages of the vectors assigned to them; dead codes are replaced with a
vector of the batch. The module of the package encodec intends the same, but its next EMA update undoes the
replacement, ranks do not share their averages, and only the first stage's commitment loss reaches the
encoder.

Legend: B batch, D dimension, V bins, Q codebooks, F frames.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, distributed, nn
from torch.nn import functional

DECAY = 0.99
"""Decay of the moving averages, as published."""

DEAD_THRESHOLD = 0.1
"""A code is dead if it is used less often than this fraction of the mean usage."""


@frozen(kw_only=True)
class Quantized:
    """Output of the quantizer.

    vectors: [B, D, F], quantized, with a straight-through gradient.
    codes: [B, Q, F] int64.
    commitment: commitment loss, the squared distance of each stage's input to its output, averaged over
        stages, dimensions and frames.
    """

    vectors: Tensor
    codes: Tensor
    commitment: Tensor


class ResidualQuantizer(nn.Module):
    """Residual quantizer: each stage quantizes the residual of the previous ones; in float32.

    It has no parameters. In training mode each forward pass updates the codebooks, identically on all
    ranks.
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, *, codebooks: int, bins: int, dimension: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.randn(codebooks, bins, dimension))
        # Moving averages of the number of vectors assigned to each code, and of their sum.
        self.register_buffer("counts", torch.zeros(codebooks, bins))
        self.register_buffer("sums", torch.zeros(codebooks, bins, dimension))

    def forward(self, vectors: Tensor) -> Quantized:
        """Quantize vectors [B, D, F]."""
        with torch.autocast(vectors.device.type, enabled=False):
            inputs = vectors.float().transpose(1, 2)
            residuals, codes, commitments = [inputs], [], []
            for codebook in self.vectors.unbind():
                codes.append(_nearest(residuals[-1], codebook))
                chosen = functional.embedding(codes[-1], codebook)
                commitments.append(functional.mse_loss(residuals[-1], chosen))
                residuals.append(residuals[-1] - chosen)
            total = inputs - residuals[-1]
            if self.training:
                self._update_codebooks(torch.stack(residuals[:-1]).detach(), torch.stack(codes))
        return Quantized(
            vectors=(inputs + (total - inputs).detach()).transpose(1, 2),
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
        """codes [B, Q, F], or of the first codebooks only -> vectors [B, D, F]."""
        vectors = self.vectors[: codes.size(1)]
        chosen = [
            functional.embedding(each, codebook)
            for each, codebook in zip(codes.unbind(1), vectors.unbind(), strict=True)
        ]
        return torch.stack(chosen).sum(0).transpose(1, 2)

    @torch.no_grad()
    def _update_codebooks(self, residuals: Tensor, codes: Tensor) -> None:
        """EMA update from each stage's inputs [Q, B, F, D] and codes [Q, B, F]."""
        codebooks, bins, dimension = self.vectors.shape
        inputs = residuals.flatten(1, 2)
        chosen = (
            codes.flatten(1) + bins * torch.arange(codebooks, device=codes.device)[:, None]
        ).flatten()
        counts = torch.bincount(chosen, minlength=codebooks * bins).float().view(codebooks, bins)
        sums = torch.zeros_like(self.sums)
        sums.view(-1, dimension).index_add_(0, chosen, inputs.flatten(0, 1))
        # Replacements of dead codes: random vectors of the batch.
        index = torch.randint(inputs.size(1), (codebooks, bins, 1), device=inputs.device)
        replacements = inputs.gather(1, index.expand(-1, -1, dimension))
        if distributed.is_initialized():
            distributed.all_reduce(counts)
            distributed.all_reduce(sums)
            distributed.broadcast(replacements, src=0)
        self.counts.lerp_(counts, 1 - DECAY)
        self.sums.lerp_(sums, 1 - DECAY)
        threshold = DEAD_THRESHOLD * self.counts.mean(1, keepdim=True)
        dead = self.counts < threshold
        # Twice the threshold, so that a new code has time to be used.
        self.counts.copy_(torch.where(dead, 2 * threshold, self.counts))
        self.sums.copy_(
            torch.where(dead.unsqueeze(2), 2 * threshold.unsqueeze(2) * replacements, self.sums)
        )
        self.vectors.copy_(self.sums / self.counts.unsqueeze(2))


def _nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return the index [B, F] of the entry of codebook [V, D] nearest to each vector [B, F, D]."""
    # The squared norm of the vectors is the same for all entries and left out.
    distances = codebook.square().sum(1) - 2 * vectors @ codebook.T
    return distances.argmin(dim=2)
