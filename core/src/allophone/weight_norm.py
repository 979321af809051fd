"""Weight norm while a model learns, multiplied out when it speaks (Salimans and Kingma 2016)."""

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

_for_inference = ContextVar("for_inference", default=False)


def weight_normed(module: _M) -> _M:
    """`module` with its weight split into magnitude and direction; as it is within `for_inference`.

    HiFi-GAN's code draws these weights from N(0, 0.01) after the split, which has no effect there: the
    weight is computed anew from its two parts. So they start as PyTorch makes them, here too.
    """
    if _for_inference.get():
        return module
    normed: _M = parametrizations.weight_norm(module)
    return normed


@contextmanager
def for_inference() -> Iterator[None]:
    """Build modules without weight norm and without drawing weights, which are about to be loaded."""
    token = _for_inference.set(True)
    try:
        with uninitialised():
            yield
    finally:
        _for_inference.reset(token)


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
