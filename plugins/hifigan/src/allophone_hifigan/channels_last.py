"""Convolutions with the channels innermost in memory, which a CPU goes through faster both ways.

PyTorch has that layout for images alone, so there a waveform is convolved as an image of one row. What
comes out of one convolution lies right for the next. On other devices these are PyTorch's own.

Legend: B batch, C channels, N positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Convolution(nn.Conv1d):
    """An `nn.Conv1d` whose padding is zeros."""

    def forward(self, input: Tensor) -> Tensor:
        """input [B, C, N] -> [B, C', N']."""
        if input.device.type != "cpu":
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
        if input.device.type != "cpu" or output_size is not None:
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


def channels_innermost(values: Tensor) -> Tensor:
    """The same [B, C, N] with its channels next to each other, where that is of use."""
    if values.device.type != "cpu":
        return values
    return values.transpose(1, 2).contiguous().transpose(1, 2)


@torch.no_grad()
def lay_out_weights(module: nn.Module) -> None:
    """Bring all weights below `module` into the layout too, once and for inference alone."""
    for part in module.modules():
        if isinstance(part, Convolution | TransposedConvolution):
            part.weight.data = channels_innermost(part.weight)
