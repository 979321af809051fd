"""What several parts of the model share: masks, a norm over channels, weight norm.

Legend: B batch, T text or frames, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from allophone.weights import uninitialised

_M = TypeVar("_M", bound=nn.Module)


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


def weight_normed(module: _M) -> _M:
    """`module` with its weight split into magnitude and direction (Salimans & Kingma 2016).

    HiFi-GAN's code draws these weights from N(0, 0.01) after the split, which has no effect there:
    the weight is computed anew from its two parts. So they start as PyTorch makes them, here too.
    """
    if not _splitting_weights.get():
        return module
    normed: _M = parametrizations.weight_norm(module)
    return normed


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the same modules built in `for_inference` want: weight norm multiplied out."""
    magnitude, direction = (f".parametrizations.weight.original{part}" for part in (0, 1))
    result = {name: tensor for name, tensor in weights.items() if ".parametrizations." not in name}
    for name, tensor in weights.items():
        if name.endswith(direction):
            module = name.removesuffix(direction)
            length = torch.linalg.vector_norm(
                tensor, dim=tuple(range(1, tensor.dim())), keepdim=True
            )
            result[f"{module}.weight"] = tensor * (weights[module + magnitude] / length)
    return result


@contextmanager
def for_inference() -> Iterator[None]:
    """Build modules whose weights are about to be loaded, to speak and not to learn.

    They have no weight norm, and hold whatever was in memory.
    """
    token = _splitting_weights.set(False)
    try:
        with uninitialised():
            yield
    finally:
        _splitting_weights.reset(token)


_splitting_weights = ContextVar("splitting_weights", default=True)


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
