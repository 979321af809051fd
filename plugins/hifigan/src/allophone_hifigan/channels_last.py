"""Convolutions that keep the layout of their input; channels-last can be faster on a CPU.

PyTorch supports this layout only in 2-D, so on a CPU such a waveform is convolved as an image of one row. With
other layouts, on other devices and in exported graphs, these are PyTorch's own convolutions.

Legend: B batch, C channels, N positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Convolution(nn.Conv1d):
    """An `nn.Conv1d` with zero padding."""

    def forward(self, input: Tensor) -> Tensor:
        """input [B, C, N] -> [B, C', N']."""
        if not _is_channels_last(input):
            return super().forward(input)
        assert isinstance(self.padding, tuple)
        return functional.conv2d(
            input.unsqueeze(2),
            self.weight.unsqueeze(2),
            self.bias,
            padding=(0, *self.padding),
            dilation=(1, *self.dilation),
        ).squeeze(2)


class TransposedConvolution(nn.ConvTranspose1d):
    """An `nn.ConvTranspose1d`."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """input [B, C, N] -> [B, C', N']."""
        if output_size is not None or not _is_channels_last(input):
            return super().forward(input, output_size)
        assert isinstance(self.padding, tuple)
        return functional.conv_transpose2d(
            input.unsqueeze(2),
            self.weight.unsqueeze(2),
            self.bias,
            stride=(1, *self.stride),
            padding=(0, *self.padding),
            output_padding=(0, *self.output_padding),
        ).squeeze(2)


def _left_to_pytorch(values: Tensor) -> bool:
    return values.device.type != "cpu" or torch.compiler.is_exporting()


def _is_channels_last(values: Tensor) -> bool:
    return values.stride(1) == 1 and not _left_to_pytorch(values)


def channels_innermost(values: Tensor) -> Tensor:
    """values [B, C, N] in channels-last layout on a CPU, unchanged on other devices and in exported graphs."""
    if _left_to_pytorch(values):
        return values
    return values.transpose(1, 2).contiguous().transpose(1, 2)


@torch.no_grad()
def lay_out_weights(module: nn.Module) -> None:
    """Convert all weights of `module` to channels-last layout, for inference only."""
    for part in module.modules():
        if isinstance(part, Convolution | TransposedConvolution):
            part.weight.data = channels_innermost(part.weight)
