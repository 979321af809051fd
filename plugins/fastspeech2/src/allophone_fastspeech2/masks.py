"""Which positions of a padded batch are real.

Legend: B batch, L positions (text or frames), C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sequence_mask(lengths: Tensor, size: int) -> Tensor:
    """True where a position lies inside its sequence: lengths [B] -> [B, size], boolean."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def masked(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` [B, L, C] with zeros where `mask` [B, L] is false; a mask of None masks nothing.

    A batch of one utterance has no padding, and None spares it the multiplications. A boolean mask
    keeps the type of the values, where a float one would widen half precision.
    """
    return values if mask is None else values * mask.unsqueeze(-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of `values` [B, L] where `mask` [B, L] is true; 0 where it is nowhere."""
    return (values * mask).sum() / mask.sum().clamp_min(1)
