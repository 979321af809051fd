"""Small convolutions as products with matrices that are laid out once, for inference on a CPU.

PyTorch lays a weight out anew in every call, or hands the product to a library that uses half the
width of some processors' vectors: where a sentence is short, that is most of the time. Here oneDNN
lays the weight out when the model is loaded, by the operators that `torch.compile` uses for linear
layers; they have no public name.

Legend: B batch, C channels, N positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_USUAL_POSITIONS = 64
"""For how many positions oneDNN chooses the layout; others work as well."""


class PackedConv1d(nn.Module):
    """An `nn.Conv1d` for inference: each window of the input is a row, the weight a matrix."""

    def __init__(self, source: nn.Conv1d) -> None:
        super().__init__()
        assert is_packable(source)
        channels, _, self.kernel_size = source.weight.shape
        self.padding = int(source.padding[0])
        matrix = source.weight.detach().transpose(1, 2).reshape(channels, -1)
        self.bias = None if source.bias is None else source.bias.detach()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(matrix, _USUAL_POSITIONS)

    def forward(self, values: Tensor) -> Tensor:
        """values [B, C, N] -> [B, C', N], as the source's."""
        rows = values.transpose(1, 2)
        if self.kernel_size > 1:
            rows = functional.pad(rows, (0, 0, self.padding, self.padding))
            batch, positions, channels = rows.shape
            # Windows overlap in memory: a row is `kernel_size` positions, the next begins one later.
            rows = rows.contiguous().as_strided(
                (batch, positions - self.kernel_size + 1, self.kernel_size * channels),
                (positions * channels, channels, 1),
            )
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, "none", [], ""
        )
        return product.transpose(1, 2)


def is_packable(module: nn.Module) -> bool:
    """Whether `PackedConv1d` can stand for a module on this machine."""
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
    """Replace every packable convolution below `module`, for inference; weight norm is folded."""
    for name, child in module.named_children():
        if is_packable(child):
            assert isinstance(child, nn.Conv1d)
            setattr(module, name, PackedConv1d(child))
        else:
            pack_convolutions(child)
