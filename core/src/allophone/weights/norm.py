"""Weight normalization for training, folded into plain weights for inference (Salimans and Kingma 2016)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from allophone.weights.loading import skip_init

_M = TypeVar("_M", bound=nn.Module)

MAGNITUDE = "parametrizations.weight.original0"
DIRECTION = "parametrizations.weight.original1"
"""PyTorch's names for the two parameters of a normalized weight, relative to its module."""

_for_inference = ContextVar("for_inference", default=False)


def apply_weight_norm(module: _M) -> _M:
    """Apply weight norm to `module`; within `for_inference`, return it unchanged.

    HiFi-GAN's code initializes the weights from N(0, 0.01) after applying weight norm, which has no effect
    because the weight is recomputed from its two parameters. PyTorch's default initialization is kept here
    too.
    """
    if _for_inference.get():
        return module
    normed: _M = parametrizations.weight_norm(module)
    return normed


@contextmanager
def for_inference() -> Iterator[None]:
    """Build modules without weight norm and without initializing weights, which are loaded afterwards."""
    token = _for_inference.set(True)
    try:
        with skip_init():
            yield
    finally:
        _for_inference.reset(token)


def fold_weight_norm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold weight norm into plain weights, for modules built within `for_inference`.

    Other weights are returned unchanged.
    """
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
