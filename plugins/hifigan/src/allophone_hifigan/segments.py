"""Pieces of utterances: what a step trains on (section 3).

Legend: B batch, C channels, L frames or samples.
"""

from __future__ import annotations

import torch
from torch import Tensor


def random_starts(lengths: Tensor, size: int) -> Tensor:
    """Where a piece of `size` begins, anywhere inside: lengths [B] -> [B]; 0 where there is no room."""
    choices = (lengths - size).clamp_min(0) + 1
    return (torch.rand(lengths.shape, device=lengths.device) * choices).long()


def middle_starts(lengths: Tensor, size: int) -> Tensor:
    """Where the piece of `size` in the middle begins: lengths [B] -> [B]; 0 where there is no room."""
    return (lengths - size).clamp_min(0) // 2


def pieces(
    values: Tensor, lengths: Tensor, starts: Tensor, size: int, *, past: float | Tensor = 0.0
) -> Tensor:
    """values[b, :, starts[b] : starts[b] + size] of each row: [B, C, L] -> [B, C, size].

    past: what stands for what lies beyond lengths [B], a number or one for each channel [C, 1].
    """
    position = starts[:, None] + torch.arange(size, device=starts.device)
    last = values.size(2) - 1
    taken = values.gather(2, position.clamp_max(last).unsqueeze(1).expand(-1, values.size(1), -1))
    return torch.where((position < lengths[:, None]).unsqueeze(1), taken, past)
