"""Interpolation of F0 over unvoiced frames.

Legend: B batch, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor


def interpolate_f0(f0: Tensor, mask: Tensor, unvoiced: Tensor) -> Tensor:
    """Linearly interpolate F0 over unvoiced frames (section 2.3).

    f0: [B, F] in Hz, 0 where unvoiced; mask: [B, F]. Frames before the first and after the last voiced frame
    get its value. Utterances without voiced frames get the scalar `unvoiced` everywhere.
    """
    frames = f0.size(1)
    position = torch.arange(frames, device=f0.device)
    voiced = (f0 > 0) & mask
    before = torch.where(voiced, position, -1).cummax(1).values
    after = torch.where(voiced, position, frames).flip(1).cummin(1).values.flip(1)
    # Without a voiced frame on one side, use the one on the other side.
    left = torch.where(before < 0, after, before)
    right = torch.where(after == frames, before, after)
    left, right = left.clamp(0, frames - 1), right.clamp(0, frames - 1)
    share = (position - left) / (right - left).clamp_min(1)
    filled = torch.lerp(f0.gather(1, left), f0.gather(1, right), share)
    return torch.where(voiced.any(1, keepdim=True), filled, unvoiced)
