"""The activation of ConvNeXt blocks, in a form that onnxruntime computes in one pass."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def gelu(values: Tensor) -> Tensor:
    """x times the probability that a standard normal variable is below x (Hendrycks and Gimpel 2016).

    In graphs (`torch.export`) it is written with these operators in this order, of which onnxruntime makes one; PyTorch's own
    order is left as five.
    """
    if not torch.compiler.is_exporting():
        return functional.gelu(values)
    return values * (1 + torch.erf(values / math.sqrt(2))) * 0.5
