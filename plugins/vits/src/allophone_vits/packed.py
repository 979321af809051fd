"""Small 1-D convolutions as matrix products with prepacked weights, for inference on a CPU.

PyTorch repacks a convolution's weight in every call, or calls a library that uses only half the vector
width of some processors; for short sentences this dominates the run time. Here oneDNN packs the weight
once, when the model is loaded. The operators are those that `torch.compile` emits for linear layers;
they are private to PyTorch.

Legend: B batch, C channels, N positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_USUAL_POSITIONS = 64
"""Number of positions that oneDNN optimizes the layout for; any other number works too."""


class PackedConv1d(nn.Module):
    """An inference-only `nn.Conv1d` as a matrix product over windows of the input (im2col)."""

    def __init__(self, source: nn.Conv1d) -> None:
        super().__init__()
        assert is_packable(source)
        channels, _, self.kernel_size = source.weight.shape
        self.padding = int(source.padding[0])
        matrix = source.weight.detach().transpose(1, 2).reshape(channels, -1)
        self.bias = None if source.bias is None else source.bias.detach()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(matrix, _USUAL_POSITIONS)

    def forward(self, values: Tensor) -> Tensor:
        """values [B, C, N] -> [B, C', N], as the source module."""
        rows = values.transpose(1, 2)
        if self.kernel_size > 1:
            rows = functional.pad(rows, (0, 0, self.padding, self.padding))
            batch, positions, channels = rows.shape
            # Overlapping views: each row spans `kernel_size` positions and starts one after the last.
            rows = rows.contiguous().as_strided(
                (batch, positions - self.kernel_size + 1, self.kernel_size * channels),
                (positions * channels, channels, 1),
            )
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, "none", [], ""
        )
        return product.transpose(1, 2)


def is_packable(module: nn.Module) -> bool:
    """Whether `PackedConv1d` can replace `module` on this machine."""
    return (
        isinstance(module, nn.Conv1d)
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and module.stride == module.dilation == (1,)
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def pack_convolutions(module: nn.Module) -> None:
    """Replace every packable convolution in `module` in place; weight norm must already be folded."""
    for name, child in module.named_children():
        if is_packable(child):
            assert isinstance(child, nn.Conv1d)
            setattr(module, name, PackedConv1d(child))
        else:
            pack_convolutions(child)
