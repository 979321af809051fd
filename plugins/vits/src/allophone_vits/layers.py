"""What several parts of the model share: masks, a norm over channels, convolutions.

Legend: B batch, T text or frames, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def sequence_mask(lengths: Tensor, size: int) -> Tensor:
    """True where a position lies inside its sequence: lengths [B] -> [B, 1, size], boolean."""
    return (torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)).unsqueeze(1)


def masked(values: Tensor, mask: Tensor | None) -> Tensor:
    """`values` [B, C, T] with zeros where `mask` [B, 1, T] is false; a mask of None masks nothing.

    A batch of one utterance has no padding, and None spares it the multiplications. A boolean mask
    keeps the type of the values, where a float one would widen half precision.
    """
    return values if mask is None else values * mask


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of [B, C, T]."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.transpose(1, 2)).transpose(1, 2)


def same_convolution(
    in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1, groups: int = 1
) -> nn.Conv1d:
    """A convolution whose output is as long as its input; `kernel_size` is odd."""
    return nn.Conv1d(
        in_channels,
        out_channels,
        kernel_size,
        dilation=dilation,
        groups=groups,
        padding=(kernel_size - 1) * dilation // 2,
    )


def zero_initialised(module: nn.Conv1d) -> nn.Conv1d:
    """`module` with zeros for weights and bias, so that what it feeds begins as the identity."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module
