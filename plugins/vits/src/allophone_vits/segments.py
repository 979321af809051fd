"""Random segments of utterances, for windowed training of the decoder (section 3.3).

Legend: B batch, C channels, F frames or samples.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def random_starts(lengths: Tensor, size: int) -> Tensor:
    """Random start of a segment of `size` in each utterance: lengths [B] -> [B].

    The segment lies inside the utterance; in shorter utterances it starts at 0.
    """
    room = (lengths - size).clamp_min(0) + 1
    return (torch.rand(len(lengths), device=lengths.device) * room).long()


def middle_starts(lengths: Tensor, size: int) -> Tensor:
    """Start of the middle segment of `size` in each utterance: lengths [B] -> [B]."""
    return (lengths - size).clamp_min(0) // 2


def slice_segments(values: Tensor, starts: Tensor, size: int) -> Tensor:
    """Slice values[b, :, starts[b] : starts[b] + size], zero-padded past F: [B, C, F] -> [B, C, size]."""
    values = functional.pad(values, (0, max(0, size - values.size(2))))
    index = starts.unsqueeze(1) + torch.arange(size, device=starts.device)
    return values.gather(2, index.unsqueeze(1).expand(-1, values.size(1), -1))
