"""Random windows of utterances, which is what the decoder trains on (section 2.5.3).

Legend: B batch, C channels, F frames or samples.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def random_starts(lengths: Tensor, size: int) -> Tensor:
    """Where a window of `size` begins in each utterance: lengths [B] -> [B].

    The window lies inside the utterance; in one that is shorter, it begins at 0.
    """
    room = (lengths - size).clamp_min(0) + 1
    return (torch.rand(len(lengths), device=lengths.device) * room).long()


def middle_starts(lengths: Tensor, size: int) -> Tensor:
    """Where the window of `size` in the middle of each utterance begins: lengths [B] -> [B]."""
    return (lengths - size).clamp_min(0) // 2


def slice_segments(values: Tensor, starts: Tensor, size: int) -> Tensor:
    """The windows values[b, :, starts[b] : starts[b] + size]: [B, C, F] -> [B, C, size].

    Zeros stand for what lies beyond F.
    """
    values = functional.pad(values, (0, max(0, size - values.size(2))))
    index = starts.unsqueeze(1) + torch.arange(size, device=starts.device)
    return values.gather(2, index.unsqueeze(1).expand(-1, values.size(1), -1))
