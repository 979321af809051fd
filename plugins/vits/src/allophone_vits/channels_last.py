"""1-D convolutions in channels-last memory format, which is faster on CPUs.

PyTorch has `channels_last` for 2-D convolutions only, so the input is treated as an image of height 1.
The output keeps the format, so the next convolution needs no conversion.

Legend: B batch, C channels, N positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelsLastConv1d(nn.Module):
    """An inference-only `nn.Conv1d` or `nn.ConvTranspose1d` in channels-last format."""

    def __init__(self, source: nn.Conv1d | nn.ConvTranspose1d) -> None:
        super().__init__()
        assert not isinstance(source.padding, str)
        assert source.padding_mode == "zeros"
        weight = source.weight.detach().unsqueeze(2).contiguous(memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if source.bias is None else nn.Parameter(source.bias.detach(), False)
        self.transposed = isinstance(source, nn.ConvTranspose1d)
        self.stride = (1, source.stride[0])
        self.padding = (0, source.padding[0])
        self.output_padding = (0, source.output_padding[0])
        self.dilation = (1, source.dilation[0])
        self.groups = source.groups

    def forward(self, values: Tensor) -> Tensor:
        """values [B, C, N] -> [B, C', N'], as the source module."""
        row = values.unsqueeze(2)
        if self.transposed:
            return functional.conv_transpose2d(
                row, self.weight, self.bias, self.stride, self.padding, self.output_padding
            ).squeeze(2)
        return functional.conv2d(
            row, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        ).squeeze(2)


def use_channels_last(module: nn.Module) -> None:
    """Replace every 1-D convolution in `module` in place; weight norm must already be folded."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv1d | nn.ConvTranspose1d):
            setattr(module, name, ChannelsLastConv1d(child))
        else:
            use_channels_last(child)
