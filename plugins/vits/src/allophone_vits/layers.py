"""Shared building blocks: masks, layer norm over channels, convolutions.

Legend: B batch, T text or frames, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def sequence_mask(lengths: Tensor, size: int) -> Tensor:
    """Boolean mask of the positions inside each sequence: lengths [B] -> [B, 1, size]."""
    return (torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)).unsqueeze(1)


def masked(values: Tensor, mask: Tensor | None) -> Tensor:
    """Zero `values` [B, C, T] where `mask` [B, 1, T] is false; no-op if the mask is None.

    None saves the multiplications for a single utterance, which has no padding. The mask is boolean so
    that half-precision values are not promoted to float32.
    """
    return values if mask is None else values * mask


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [B, C, T]."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.transpose(1, 2)).transpose(1, 2)


def same_convolution(
    in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1, groups: int = 1
) -> nn.Conv1d:
    """Build a convolution that keeps the length of its input; `kernel_size` must be odd."""
    return nn.Conv1d(
        in_channels,
        out_channels,
        kernel_size,
        dilation=dilation,
        groups=groups,
        padding=(kernel_size - 1) * dilation // 2,
    )


def zero_initialised(module: nn.Conv1d) -> nn.Conv1d:
    """Zero the weight and bias of `module`, so that the layer it feeds starts as the identity."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module
