"""The stochastic duration predictor (section 2.2.2 of Kim et al. 2021): the inverse of its flow over durations.

A span of the text is computed from what it depends on, so each stack of convolutions computes less than the one before.

Legend: T positions of a span, H hidden channels, K bins of a spline. Signals are rows, [T, channels].
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator

import numpy as np

from allophone_onnx.rewriting.layers import convolve_channels, normalize, project
from allophone_onnx.rewriting.spans import Span
from allophone_onnx.rewriting.writing import MissingWeightError, Tensor, Writer
from allophone_onnx.schema import INT64

_BOUND = 5.0
_MIN_BIN_SIZE = 1e-3
_MIN_SLOPE = 1e-3


def durations(hidden: Tensor, *, span: Span, speaker: Tensor | None) -> Tensor:
    """The frames of each id of a span [1, T].

    hidden: the rows of `span.around(margin(writer))`. speaker: its embedding [1, channels].
    """
    writer = hidden.writer
    margins = list(itertools.accumulate(_margins(writer)[::-1], initial=0))
    spans = [span.around(margin) for margin in reversed(margins)]
    text = project(hidden, "dp.pre")
    if speaker is not None:
        text = text + project(speaker, "dp.cond")
    text = spans[1].select(_separable(text, "dp.convs"), among=spans[0])
    text = project(text, "dp.proj")
    _, length_scale, noise_scale = writer.input("scales").split(1, 1, 1, axis=0)
    noise = writer.input("duration_noise").reshape(2, -1).transpose(1, 0) * noise_scale
    first, second = spans[1].select(noise).split(1, 1, axis=1)
    for name, (before, after) in zip(
        _couplings(writer), itertools.pairwise(spans[1:]), strict=True
    ):
        hidden = _separable(project(second, f"{name}.pre") + text, f"{name}.convs")
        hidden, first, second, text = (
            after.select(one, among=before) for one in (hidden, first, second, text)
        )
        first, second = second, _invert(first, hidden, name)
    log_duration = (second - float(writer.values("dp.flows.0.m")[0, 0])) * _scale(writer)
    return (log_duration.apply("Exp") * length_scale).apply("Ceil").reshape(1, -1)


def margin(writer: Writer) -> int:
    """The number of positions on each side that the duration of an id depends on."""
    return sum(_margins(writer))


def _margins(writer: Writer) -> list[int]:
    """The same for each stack of convolutions, in the order in which they are computed."""
    stacks = ["dp.convs", *(f"{name}.convs" for name in _couplings(writer))]
    return [
        sum((size - 1) * dilation // 2 for _, size, dilation in _separated(writer, name))
        for name in stacks
    ]


def _separable(hidden: Tensor, name: str) -> Tensor:
    """Dilated depth-wise separable convolutions with residual connections: [T, H] -> [T, H]."""
    for layer, _, dilation in _separated(hidden.writer, name):
        change = convolve_channels(hidden, f"{name}.convs_sep.{layer}", dilation=dilation)
        change = normalize(change, f"{name}.norms_1.{layer}").apply("Gelu")
        change = project(change, f"{name}.convs_1x1.{layer}")
        hidden = hidden + normalize(change, f"{name}.norms_2.{layer}").apply("Gelu")
    return hidden


def _separated(writer: Writer, name: str) -> Iterator[tuple[int, int, int]]:
    """The number, the kernel size and the dilation of each layer of separable convolutions."""
    layer, dilation = 0, 1
    while f"{name}.convs_sep.{layer}.weight" in writer.weight_names():
        size = writer.shape(f"{name}.convs_sep.{layer}.weight")[2]
        yield layer, size, dilation
        layer, dilation = layer + 1, dilation * size


def _couplings(writer: Writer) -> list[str]:
    """The flow's couplings in the order of its inverse.

    The last of them, number 1, changes only the channel that is not a duration, and exporters leave it out.
    """
    numbers = {
        int(found[1])
        for found in map(re.compile(r"dp\.flows\.(\d+)\.pre\.").match, writer.weight_names())
        if found and found[1] != "1"
    }
    if not numbers:
        raise MissingWeightError("there are no couplings 'dp.flows'")
    return [f"dp.flows.{number}" for number in sorted(numbers, reverse=True)]


def _scale(writer: Writer) -> float:
    """What the flow's last step multiplies log durations by, which Piper's exporter folds into a constant."""
    if "dp.flows.0.logs" in writer.weight_names():
        return math.exp(-writer.values("dp.flows.0.logs")[0, 0])
    return float(writer.values("/dp/flows.0/Exp_output_0")[0, 0])


def _invert(transformed: Tensor, hidden: Tensor, name: str) -> Tensor:
    """Undo the spline that hidden states [T, H] decide: transformed [T, 1] -> [T, 1] (Durkan et al. 2019)."""
    writer = hidden.writer
    channels = writer.shape(f"{name}.pre.weight")[0]
    bins = (writer.shape(f"{name}.proj.weight")[0] + 1) // 3
    sizes, slopes = project(hidden, f"{name}.proj").split(2 * bins, bins - 1, axis=1)

    sizes = (sizes * channels**-0.5).reshape(-1, 2, bins).apply("Softmax", axis=-1)
    sizes = sizes * (1 - _MIN_BIN_SIZE * bins) + _MIN_BIN_SIZE
    inner = sizes.apply("CumSum", np.array(2)).slice(0, bins - 1, axis=2) * (2 * _BOUND) - _BOUND
    ends = np.zeros(bins + 1, dtype=np.float32)
    ends[[0, -1]] = -_BOUND, _BOUND
    knots = inner.apply("Pad", np.array([0, 0, 1, 0, 0, 1])) + ends  # [T, 2, K + 1]
    slopes = (slopes.apply("Softplus") + _MIN_SLOPE).reshape(-1, 1, bins - 1)
    slopes = slopes.apply("Pad", np.array([0, 0, 1, 0, 0, 1]), 1.0)  # [T, 1, K + 1]

    y = transformed.reshape(-1, 1, 1)
    position = y.apply("Clip", -_BOUND, _BOUND)
    _, inner_y = inner.split(1, 1, axis=1)
    below = position.apply("GreaterOrEqual", inner_y).apply("Cast", to=INT64)
    index = below.apply("ReduceSum", np.array([2])) + np.array([0, 1])
    corners = writer.node("Concat", knots, slopes, axis=1).apply(
        "GatherElements", index.apply("Expand", np.array([1, 3, 1])), axis=2
    )  # [T, 3, 2]
    low, high = corners.split(1, 1, axis=2)
    low_x, low_y, slope = low.split(1, 1, 1, axis=1)
    high_x, high_y, next_slope = high.split(1, 1, 1, axis=1)

    width, height = high_x - low_x, high_y - low_y
    mean_slope = height / width
    bend = slope + next_slope - mean_slope * 2.0
    above = position - low_y
    a = above * bend + height * (mean_slope - slope)
    b = height * slope - above * bend
    c = -(mean_slope * above)
    # Equation 8 of the paper, the root of a quadratic in the form that does not cancel.
    root = (b * b - a * c * 4.0).apply("Relu").apply("Sqrt")
    x = low_x + c * 2.0 / (-b - root) * width
    # Outside the bound, the spline is the identity.
    return y.apply("Equal", position).apply("Where", x, y).reshape(-1, 1)
