"""Which code comes next: everything here stays on the device, and no row waits for another.

Legend: B batch, V entries of the codebook and the end symbol, K codes of the past, G codes in a step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from allophone_valle.config import ValleControls

DRAWS = 2
"""How often a code may be drawn: out of the likeliest, and again out of all."""


def draw(
    logits: Tensor, noise: Tensor, past: Tensor, controls: ValleControls, *, end: int
) -> Tensor:
    """Draw a code in each row: logits [B, V], noise [B, DRAWS, V], past [B, K] -> [B].

    With Gumbel noise, the largest of the sums with logits is drawn as their softmax says. Where the end
    is the likeliest of all, it is taken. past: the last codes, -1 where there were fewer.
    """
    warm = logits + controls.temperature * noise[:, 0]
    drawn = warm.masked_fill(~likeliest(logits, controls), -torch.inf).argmax(1)
    if controls.repetition_threshold is not None:
        share = (past == drawn.unsqueeze(1)).float().mean(1)
        other = (logits + controls.temperature * noise[:, 1]).argmax(1)
        drawn = torch.where(share > controls.repetition_threshold, other, drawn)
    return torch.where(logits.argmax(1) == end, end, drawn)


def likeliest(logits: Tensor, controls: ValleControls) -> Tensor:
    """Which entries may be drawn, by `top_k` and `top_p`: logits [B, V] -> [B, V], boolean."""
    if controls.top_k is None and controls.top_p == 1.0:
        return torch.ones_like(logits, dtype=torch.bool)
    falling = logits.sort(dim=1, descending=True).values[:, : controls.top_k]
    # Nearly zero, the temperature leaves all probability to the first.
    shares = (falling / max(controls.temperature, 1e-4)).softmax(1)
    before = shares.cumsum(1) - shares
    least = falling.masked_fill(before >= controls.top_p, torch.inf).min(1, keepdim=True).values
    return logits >= least


class Noise:
    """Gumbel noise for many steps, in each row from a seed of its own: the same on every device."""

    def __init__(self, seeds: Sequence[int], *, group: int, entries: int) -> None:
        # PyTorch's CPU generator takes the lowest 32 bits of a seed alone.
        self._generators = [torch.Generator().manual_seed(seed % 2**32) for seed in seeds]
        self._shape = (group, DRAWS, entries)

    def block(self, steps: int) -> Tensor:
        """What the next steps are drawn with: [B, steps, G, DRAWS, V], on the CPU."""
        rows = [
            torch.empty(steps, *self._shape).exponential_(generator=generator)
            for generator in self._generators
        ]
        return torch.stack(rows).log_().neg_()
