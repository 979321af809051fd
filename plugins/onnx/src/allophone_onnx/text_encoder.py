"""The text encoder and duration predictor of a Piper voice, rewritten with a quarter of the operators.

PyTorch's exporter writes two thousand nodes, most of which compute shapes, decompose layer norm or
select by mask. This module writes the same functions (sections 2.2.2 and 2.5.1 of Kim et al. 2021) with the same
weights, for a batch size of one, so without masks.

Legend: T text, H hidden channels, A attention heads, D channels per head, W positions in the window of relative
attention, K bins of a spline.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from allophone_onnx.schema import FLOAT, INT64
from allophone_onnx.writing import MissingWeightError, Tensor, Writer

_NORM_EPSILON = 1e-5

_BOUND = 5.0
_MIN_BIN_SIZE = 1e-3
_MIN_SLOPE = 1e-3


def rewrite(encoder: Any) -> Any:
    """Rewrite the encoder of a `CutVoice` with fewer operators and the same inputs and outputs.

    Returns a `Model`. Raises MissingWeightError if the weights do not have VITS's names.
    """
    writer = Writer(encoder)
    hidden = _encode(writer, embedding=_embedding_table(encoder, "enc_p/emb"))
    channels = writer.shape("enc_p.proj.weight")[0] // 2
    mean, log_scale = _convolve(hidden, "enc_p.proj").split(channels, channels, axis=1)
    speakers = (
        _embedding_table(encoder, "emb_g") if "dp.cond.weight" in writer.weight_names() else None
    )
    writer.output(mean, "mean")
    writer.output(log_scale, "log_scale")
    writer.output(_durations(hidden, speakers=speakers), "durations")
    return writer.model


def _embedding_table(encoder: Any, module: str) -> str:
    """The name of an embedding's weight, which exporters do not keep."""
    for node in encoder.graph.node:
        if node.name == f"/{module}/Gather":
            return str(node.input[0])
    raise MissingWeightError(f"there is no embedding '{module}'")


def _convolve(signal: Tensor, name: str, **attributes: Any) -> Tensor:
    """A convolution [1, C, T] -> [1, C', T]."""
    writer = signal.writer
    weights = [writer.weight(f"{name}.{part}") for part in ("weight", "bias")]
    return signal.apply("Conv", *weights, **attributes)


def _normalize(hidden: Tensor, name: str) -> Tensor:
    """Layer norm over the channels of [1, H, T]."""
    writer = hidden.writer
    weights = [writer.weight(f"{name}.{part}") for part in ("gamma", "beta")]
    normal = hidden.transpose(0, 2, 1).apply(
        "LayerNormalization", *weights, axis=-1, epsilon=_NORM_EPSILON
    )
    return normal.transpose(0, 2, 1)


def _encode(writer: Writer, *, embedding: str) -> Tensor:
    """Ids to hidden states [1, H, T]."""
    table = writer.weight(embedding)
    ids = writer.input("input")
    hidden = table.apply("Gather", ids) * math.sqrt(writer.shape(embedding)[1])
    hidden = hidden.transpose(0, 2, 1)
    near = _Neighbours(ids, window=writer.shape(f"{_attention_name(0)}.emb_rel_k")[1] // 2)
    layer = 0
    while f"{_attention_name(layer)}.conv_q.weight" in writer.weight_names():
        attended = _attend(hidden, _attention_name(layer), near)
        hidden = _normalize(hidden + attended, f"enc_p.encoder.norm_layers_1.{layer}")
        transformed = _feed_forward(hidden, f"enc_p.encoder.ffn_layers.{layer}")
        hidden = _normalize(hidden + transformed, f"enc_p.encoder.norm_layers_2.{layer}")
        layer += 1
    return hidden


def _attention_name(layer: int) -> str:
    return f"enc_p.encoder.attn_layers.{layer}"


class _Neighbours:
    """The positions in the window around each position, shared by all layers.

    index: [T, W], clamped to the text; inside: [T, W], 1 for positions inside of the text, else 0.
    """

    def __init__(self, ids: Tensor, *, window: int) -> None:
        self._size = ids.apply("Shape", start=1)
        last = self._size.apply("Squeeze") - np.array(1)
        offsets = np.arange(-window, window + 1)
        positions = ids.writer.node("Range", np.array(0), last + np.array(1), np.array(1))
        near = positions.reshape(-1, 1) + offsets
        self.index = near.apply("Clip", np.array(0), last)
        self.inside = near.apply("Equal", self.index).apply("Cast", to=FLOAT)
        self._width = len(offsets)

    def by_head(self, heads: int) -> Tensor:
        """The index [A, T, W]."""
        sizes = self._size.writer.node(
            "Concat", np.array([heads]), self._size, np.array([self._width]), axis=0
        )
        return self.index.apply("Expand", sizes)


def _attend(hidden: Tensor, name: str, near: _Neighbours) -> Tensor:
    """Self-attention with relative keys and values (Shaw et al. 2018): [1, H, T] -> [1, H, T].

    The window is added along its few diagonals, rather than skewed from [T, 2T - 1] scores.
    """
    writer = hidden.writer
    _, _, size = writer.shape(f"{name}.emb_rel_k")
    channels = writer.shape(f"{name}.conv_q.weight")[0]
    query, key, value = (
        _convolve(hidden, f"{name}.conv_{part}").reshape(channels // size, size, -1)
        for part in "qkv"
    )  # [A, D, T]
    query = (query * size**-0.5).transpose(0, 2, 1)
    index = near.by_head(channels // size)
    relative_keys = writer.weight(f"{name}.emb_rel_k").transpose(0, 2, 1)  # [1, D, W]
    relative_scores = (query @ relative_keys) * near.inside  # [A, T, W]
    scores = (query @ key).apply("ScatterElements", index, relative_scores, axis=2, reduction="add")
    weights = scores.apply("Softmax", axis=-1)  # [A, T, T]
    near_weights = weights.apply("GatherElements", index, axis=2) * near.inside
    attended = weights @ value.transpose(0, 2, 1)
    attended = attended + near_weights @ writer.weight(f"{name}.emb_rel_v")  # [A, T, D]
    return _convolve(attended.transpose(0, 2, 1).reshape(1, channels, -1), f"{name}.conv_o")


def _feed_forward(hidden: Tensor, name: str) -> Tensor:
    """Two convolutions with a ReLU in between: [1, H, T] -> [1, H, T]."""
    kernel_size = hidden.writer.shape(f"{name}.conv_1.weight")[2]
    pads = (kernel_size - 1) // 2, kernel_size // 2
    inner = _convolve(hidden, f"{name}.conv_1", pads=pads).apply("Relu")
    return _convolve(inner, f"{name}.conv_2", pads=pads)


def _separable(hidden: Tensor, name: str) -> Tensor:
    """Dilated depth-wise separable convolutions with residual connections: [1, H, T] -> [1, H, T]."""
    writer = hidden.writer
    layer, dilation = 0, 1
    while f"{name}.convs_sep.{layer}.weight" in writer.weight_names():
        channels, _, kernel_size = writer.shape(f"{name}.convs_sep.{layer}.weight")
        padding = (kernel_size - 1) * dilation // 2
        change = _convolve(
            hidden,
            f"{name}.convs_sep.{layer}",
            pads=(padding, padding),
            dilations=(dilation,),
            group=channels,
        )
        change = _normalize(change, f"{name}.norms_1.{layer}").apply("Gelu")
        change = _convolve(change, f"{name}.convs_1x1.{layer}")
        hidden = hidden + _normalize(change, f"{name}.norms_2.{layer}").apply("Gelu")
        layer, dilation = layer + 1, dilation * kernel_size
    return hidden


def _durations(hidden: Tensor, *, speakers: str | None) -> Tensor:
    """Hidden states [1, H, T] to frames of each id [1, 1, T]: the inverse of the flow over durations."""
    writer = hidden.writer
    text = _convolve(hidden, "dp.pre")
    if speakers is not None:
        speaker = writer.weight(speakers).apply("Gather", writer.input("sid"))
        text = text + _convolve(speaker.reshape(1, -1, 1), "dp.cond")
    text = _convolve(_separable(text, "dp.convs"), "dp.proj")
    _, length_scale, noise_scale = writer.input("scales").split(1, 1, 1, axis=0)
    first, second = (writer.input("duration_noise") * noise_scale).split(1, 1, axis=1)
    for name in _couplings(writer):
        first, second = second, _invert(second, first, text, name)
    log_duration = (second - float(writer.values("dp.flows.0.m")[0, 0])) * _scale(writer)
    return (log_duration.apply("Exp") * length_scale).apply("Ceil")


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
    """What the flow's last step multiplies log durations by: exporters fold it into a constant."""
    return float(writer.values("/dp/flows.0/Exp_output_0")[0, 0])


def _invert(first: Tensor, second: Tensor, text: Tensor, name: str) -> Tensor:
    """Undo the spline that `first` and the text decide: second [1, 1, T] -> [1, 1, T] (Durkan et al. 2019)."""
    writer = text.writer
    hidden = _separable(_convolve(first, f"{name}.pre") + text, f"{name}.convs")
    channels = writer.shape(f"{name}.pre.weight")[0]
    bins = (writer.shape(f"{name}.proj.weight")[0] + 1) // 3
    parameters = _convolve(hidden, f"{name}.proj").transpose(0, 2, 1)
    sizes, slopes = parameters.split(2 * bins, bins - 1, axis=2)

    sizes = (sizes * channels**-0.5).reshape(-1, 2, bins).apply("Softmax", axis=-1)
    sizes = sizes * (1 - _MIN_BIN_SIZE * bins) + _MIN_BIN_SIZE
    inner = sizes.apply("CumSum", np.array(2)).slice(0, bins - 1, axis=2) * (2 * _BOUND) - _BOUND
    ends = np.zeros(bins + 1, dtype=np.float32)
    ends[[0, -1]] = -_BOUND, _BOUND
    knots = inner.apply("Pad", np.array([0, 0, 1, 0, 0, 1])) + ends  # [T, 2, K + 1]
    slopes = (slopes.apply("Softplus") + _MIN_SLOPE).reshape(-1, 1, bins - 1)
    slopes = slopes.apply("Pad", np.array([0, 0, 1, 0, 0, 1]), 1.0)  # [T, 1, K + 1]

    y = second.reshape(-1, 1, 1)
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
    return y.apply("Equal", position).apply("Where", x, y).reshape(1, 1, -1)
