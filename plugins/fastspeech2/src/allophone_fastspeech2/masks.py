"""Padding masks.

Legend: B batch, L positions (text or frames), C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sequence_mask(lengths: Tensor, size: int) -> Tensor:
    """Boolean mask of the positions inside each sequence: lengths [B] -> [B, size]."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def masked(values: Tensor, mask: Tensor | None) -> Tensor:
    """Zero `values` [B, L, C] where `mask` [B, L] is false; no-op if the mask is None.

    None saves the multiplications for a single utterance, which has no padding. The mask is boolean so
    that half-precision values are not promoted to float32.
    """
    return values if mask is None else values * mask.unsqueeze(-1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` [B, L] where `mask` [B, L] is true; 0 if it is true nowhere."""
    return (values * mask).sum() / mask.sum().clamp_min(1)
