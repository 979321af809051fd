"""Batched sampling of codes without synchronizing with the device.

Legend: B batch, V entries of the codebook and the end symbol, K codes in the repetition window, G codes per
step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from allophone_valle.config import ValleControls

DRAWS = 2
"""Noise values per code: for nucleus sampling, and for resampling from all codes."""


def sample_codes(
    logits: Tensor, noise: Tensor, past: Tensor, controls: ValleControls, *, end: int
) -> Tensor:
    """Sample a code per row: logits [B, V], noise [B, DRAWS, V], past [B, K] -> [B].

    Uses the Gumbel-max trick. The end symbol is taken whenever it is the most likely code.
    past: the last codes, -1 if there are fewer.
    """
    perturbed = logits + controls.temperature * noise[:, 0]
    sampled = perturbed.masked_fill(~top_k_top_p_mask(logits, controls), -torch.inf).argmax(1)
    if controls.repetition_threshold is not None:
        share = (past == sampled.unsqueeze(1)).float().mean(1)
        resampled = (logits + controls.temperature * noise[:, 1]).argmax(1)
        sampled = torch.where(share > controls.repetition_threshold, resampled, sampled)
    return torch.where(logits.argmax(1) == end, end, sampled)


def top_k_top_p_mask(logits: Tensor, controls: ValleControls) -> Tensor:
    """Entries that `top_k` and `top_p` allow: logits [B, V] -> [B, V], boolean."""
    if controls.top_k is None and controls.top_p == 1.0:
        return torch.ones_like(logits, dtype=torch.bool)
    sorted_logits = logits.sort(dim=1, descending=True).values[:, : controls.top_k]
    # Greedy decoding: a temperature near 0 puts all probability on the first entry.
    probabilities = (sorted_logits / max(controls.temperature, 1e-4)).softmax(1)
    cumulative_before = probabilities.cumsum(1) - probabilities
    threshold = (
        sorted_logits.masked_fill(cumulative_before >= controls.top_p, torch.inf)
        .min(1, keepdim=True)
        .values
    )
    return logits >= threshold


class GumbelNoise:
    """Gumbel noise from one seed per row; generated on the CPU, so it is the same for every device."""

    def __init__(self, seeds: Sequence[int], *, group: int, entries: int) -> None:
        # PyTorch's CPU generator uses only the lowest 32 bits of a seed.
        self._generators = [torch.Generator().manual_seed(seed % 2**32) for seed in seeds]
        self._shape = (group, DRAWS, entries)

    def block(self, steps: int) -> Tensor:
        """Noise of the next steps: [B, steps, G, DRAWS, V], on the CPU."""
        rows = [
            torch.empty(steps, *self._shape).exponential_(generator=generator)
            for generator in self._generators
        ]
        return torch.stack(rows).log_().neg_()
