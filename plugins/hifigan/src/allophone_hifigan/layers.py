"""Weight norm and its folding, which all parts of the network share."""

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

MAGNITUDE = "parametrizations.weight.original0"
DIRECTION = "parametrizations.weight.original1"
"""What PyTorch calls the two parts of a weight under weight norm, in the convolution that has them."""

_folding = ContextVar("folding", default=False)


def weight_normed(convolution: _M) -> _M:
    """`convolution` with its weight as a magnitude times a direction (Salimans and Kingma 2016).

    The weights begin as PyTorch makes them. The reference means to draw them from N(0, 0.01), but draws
    the product of the two parts, which is computed anew from them in the next pass.
    """
    if _folding.get():
        return convolution
    normed: _M = parametrizations.weight_norm(convolution)
    return normed


@contextmanager
def for_inference() -> Iterator[None]:
    """Build modules without weight norm, whose weights are about to be loaded."""
    token = _folding.set(True)
    try:
        with uninitialised():
            yield
    finally:
        _folding.reset(token)


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a trained module for the same one built in `for_inference`; others are left alone."""
    result = {}
    for name, tensor in weights.items():
        if name.endswith(DIRECTION):
            module = name.removesuffix(DIRECTION)
            axes = tuple(range(1, tensor.dim()))
            length = torch.linalg.vector_norm(tensor, dim=axes, keepdim=True)
            result[f"{module}weight"] = tensor * (weights[module + MAGNITUDE] / length)
        elif not name.endswith(MAGNITUDE):
            result[name] = tensor
    return result
