"""From tokens to frames and back, by how many frames each token lasts (FastSpeech, section 3.2).

Legend: B batch, T text, F frames, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frame_tokens(durations: Tensor, frames: int) -> Tensor:
    """Which token each frame belongs to: durations [B, T] in frames -> [B, frames] int64.

    Frames past the end belong to the last token; mask what is gathered for them.
    """
    ends = durations.cumsum(1)
    positions = torch.arange(frames, device=durations.device).expand(len(durations), -1)
    index = torch.searchsorted(ends, positions.contiguous(), right=True)
    return index.clamp_max(durations.size(1) - 1)


def expanded(values: Tensor, index: Tensor) -> Tensor:
    """Each frame's own token: values [B, T, C], index [B, F] -> [B, F, C]."""
    batch, tokens, channels = values.shape
    first = torch.arange(batch, device=index.device).unsqueeze(1) * tokens
    chosen = values.reshape(-1, channels).index_select(0, (index + first).flatten())
    return chosen.view(batch, -1, channels)


def token_means(values: Tensor, durations: Tensor, index: Tensor, mask: Tensor) -> Tensor:
    """The mean of each token's frames; 0 for tokens without a frame.

    values [B, F], durations [B, T], index [B, F] as `frame_tokens` gives it, mask [B, F] -> [B, T].
    """
    sums = values.new_zeros(durations.shape).scatter_add(1, index, values * mask)
    return sums / durations.clamp_min(1)
