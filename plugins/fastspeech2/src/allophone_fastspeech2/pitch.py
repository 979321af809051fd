"""The pitch of frames that have none of their own.

Legend: B batch, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor


def interpolated(f0: Tensor, mask: Tensor, unvoiced: Tensor) -> Tensor:
    """F0 with straight lines through unvoiced stretches (section 2.3 of the paper).

    f0: [B, F] in Hz, 0 where unvoiced; mask: [B, F], which frames are real. Before the first voiced
    frame and after the last one its value goes on; an utterance without any has the value `unvoiced`
    throughout, a scalar.
    """
    frames = f0.size(1)
    position = torch.arange(frames, device=f0.device)
    voiced = (f0 > 0) & mask
    before = torch.where(voiced, position, -1).cummax(1).values
    after = torch.where(voiced, position, frames).flip(1).cummin(1).values.flip(1)
    # Where there is nothing on one side, what is on the other side goes on.
    left = torch.where(before < 0, after, before)
    right = torch.where(after == frames, before, after)
    left, right = left.clamp(0, frames - 1), right.clamp(0, frames - 1)
    share = (position - left) / (right - left).clamp_min(1)
    filled = torch.lerp(f0.gather(1, left), f0.gather(1, right), share)
    return torch.where(voiced.any(1, keepdim=True), filled, unvoiced)
