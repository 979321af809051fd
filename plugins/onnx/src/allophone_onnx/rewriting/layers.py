"""Layers of text encoder and duration predictor, on rows [T, C]: T positions of a text, C channels."""

from __future__ import annotations

import numpy as np

from allophone_onnx.rewriting.writing import Tensor

_NORM_EPSILON = 1e-5

_END = 2**31
"""Where a slice up to the end stops."""


def project(rows: Tensor, name: str) -> Tensor:
    """A convolution of one tap, [T, C] -> [T, D]."""
    writer = rows.writer
    weight = writer.weight(f"{name}.weight", shape=writer.shape(f"{name}.weight")[:2])
    return rows.apply("Gemm", weight, writer.weight(f"{name}.bias"), transB=1)


def normalize(rows: Tensor, name: str) -> Tensor:
    """Layer norm over the channels."""
    weights = [rows.writer.weight(f"{name}.{part}") for part in ("gamma", "beta")]
    return rows.apply("LayerNormalization", *weights, axis=-1, epsilon=_NORM_EPSILON)


def convolve_channels(rows: Tensor, name: str, *, dilation: int) -> Tensor:
    """A convolution of each channel on its own: a sum of shifted rows, one for each tap."""
    kernel, bias = rows.writer.convolution(name)
    taps, new = kernel.shape[2], rows.writer.new_weight
    margin = (taps - 1) * dilation // 2
    padded = rows.apply("Pad", np.array([margin, 0, margin, 0]))
    total = new(bias)
    for tap in range(taps):
        start = tap * dilation
        shifted = padded.slice(start, start - 2 * margin or _END, axis=0)
        total = shifted * new(kernel[:, 0, tap]) + total
    return total
