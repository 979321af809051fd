"""Which positions are real, and which of them another one may look at.

Legend: B batch, L positions, T text, A audio: positions of codes, after those of the text.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sequence_mask(lengths: Tensor, size: int) -> Tensor:
    """True where a position lies inside its sequence: lengths [B] -> [B, size]."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def everything(valid: Tensor) -> Tensor:
    """Every position looks at all that are real: valid [B, L] -> [B, 1, 1, L]."""
    return valid[:, None, None, :]


def text_then_past(valid: Tensor, text_size: int) -> Tensor:
    """Text looks at text, audio at the text and at audio that is not after it.

    valid: [B, L], of which the first `text_size` positions are the text's. Returns [B, 1, L, L], true
    where a query (third axis) looks at a key (fourth axis). So what is computed of the text depends on
    nothing that is said later, and need be computed only once.
    """
    positions = torch.arange(valid.size(1), device=valid.device)
    is_text = positions < text_size
    not_after = positions <= positions.unsqueeze(1)
    return valid[:, None, None, :] & (is_text | not_after)
