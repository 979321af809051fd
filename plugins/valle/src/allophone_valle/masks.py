"""Padding and attention masks.

Legend: B batch, L positions: those of the text, then those of the codes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def sequence_mask(lengths: Tensor, size: int) -> Tensor:
    """Boolean mask of the positions inside each sequence: lengths [B] -> [B, size]."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def full_mask(valid: Tensor) -> Tensor:
    """Attention mask that only excludes padding: valid [B, L] -> [B, 1, 1, L]."""
    return valid[:, None, None, :]


def prefix_lm_mask(valid: Tensor, text_size: int) -> Tensor:
    """Prefix language model mask: text attends to text, codes to text and to codes up to themselves.

    valid: [B, L], padding mask whose first `text_size` positions are the text. Returns [B, 1, L, L], true
    where a query (third axis) attends to a key (fourth axis). Text does not attend to codes, so its hidden
    states are computed once per utterance.
    """
    positions = torch.arange(valid.size(1), device=valid.device)
    is_text = positions < text_size
    not_after = positions <= positions.unsqueeze(1)
    return valid[:, None, None, :] & (is_text | not_after)
