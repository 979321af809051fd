"""Length regulator: expands tokens to frames and averages frames by token (FastSpeech, section 3.2).

Legend: B batch, T text, F frames, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frame_to_token(durations: Tensor, frames: int) -> Tensor:
    """Return the token index of each frame: durations [B, T] in frames -> [B, frames] int64.

    Frames past the end get the last index; mask what is gathered for them.
    """
    ends = durations.cumsum(1)
    positions = torch.arange(frames, device=durations.device).expand(len(durations), -1)
    index = torch.searchsorted(ends, positions.contiguous(), right=True)
    return index.clamp_max(durations.size(1) - 1)


def expand_to_frames(values: Tensor, index: Tensor) -> Tensor:
    """Gather the token of each frame: values [B, T, C], index [B, F] -> [B, F, C]."""
    batch, tokens, channels = values.shape
    first = torch.arange(batch, device=index.device).unsqueeze(1) * tokens
    frames = values.reshape(-1, channels).index_select(0, (index + first).flatten())
    return frames.view(batch, -1, channels)


def average_by_token(values: Tensor, durations: Tensor, index: Tensor, mask: Tensor) -> Tensor:
    """Average over the frames of each token; 0 for tokens without frames.

    values [B, F], durations [B, T], index [B, F] from `frame_to_token`, mask [B, F] -> [B, T].
    """
    sums = values.new_zeros(durations.shape).scatter_add(1, index, values * mask)
    return sums / durations.clamp_min(1)
