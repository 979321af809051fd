"""Convolutions with the channels innermost in memory, which a CPU goes through faster.

PyTorch has that layout for images alone, so a waveform is an image of one row. What comes out of one
convolution lies right for the next.

Legend: B batch, C channels, N positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class RowConvolution(nn.Module):
    """What stands for an `nn.Conv1d` or `nn.ConvTranspose1d` in inference."""

    def __init__(self, original: nn.Conv1d | nn.ConvTranspose1d) -> None:
        super().__init__()
        assert isinstance(original.padding, tuple)
        weight = original.weight.detach().unsqueeze(2)
        self.weight = nn.Buffer(weight.contiguous(memory_format=torch.channels_last))
        self.bias = None if original.bias is None else nn.Buffer(original.bias.detach())
        self.transposed = isinstance(original, nn.ConvTranspose1d)
        self.stride = (1, *original.stride)
        self.padding = (0, *original.padding)
        self.dilation = (1, *original.dilation)

    def forward(self, values: Tensor) -> Tensor:
        """values [B, C, N] -> [B, C', N'], as the original's."""
        row = values.unsqueeze(2)
        given = (row, self.weight, self.bias, self.stride, self.padding)
        if self.transposed:
            row = functional.conv_transpose2d(*given, dilation=self.dilation)
        else:
            row = functional.conv2d(*given, self.dilation)
        return row.squeeze(2)


def use_channels_last(module: nn.Module) -> None:
    """Replace all one-dimensional convolutions below `module`, whose weight norm is folded."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv1d | nn.ConvTranspose1d):
            setattr(module, name, RowConvolution(child))
        else:
            use_channels_last(child)
