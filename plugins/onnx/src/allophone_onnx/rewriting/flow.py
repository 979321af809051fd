"""The flow of a VITS voice, rewritten with less than half of the arithmetic.

The convolutions of its WaveNets are computed in tiles of frames by minimal filtering: see `tiles`. The last
convolution of a coupling is linear in the skip connections, so it is multiplied into their weights.

Legend: F frames, C latent channels, H hidden channels, L layers, M frames of a tile, T tiles. Signals are rows in
tiles, [M * T, channels].
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone_onnx.rewriting.tiles import Tiles
from allophone_onnx.rewriting.writing import MissingWeightError, Tensor, Writer

_Array = NDArray[np.float64]


def rewrite(flow: Any) -> Any:
    """Rewrite the flow of a `CutVoice` with the same inputs and outputs, for a batch of one without padding.

    Returns a `Model`. Raises MissingWeightError if the weights do not have VITS's names.
    """
    writer = Writer(flow)
    weights = _Weights(writer, flow)
    names = weights.couplings()
    half = weights.convolution(f"{names[0]}.post")[0].shape[0]
    taps = weights.convolution(f"{names[0]}.enc.in_layers.0")[0].shape[2]
    latents = writer.input("latents")
    tiles = Tiles(latents.apply("Shape", start=2), taps=taps, packed=False)
    rows = latents.reshape(2 * half, -1).transpose(1, 0)
    lower, upper = tiles.divide(rows, channels=2 * half).split(half, half, axis=1)
    for number, name in enumerate(names):
        # Each coupling begins by reversing the channels. Here the halves are swapped, and every other coupling
        # has its weights reversed.
        lower, upper = upper, lower
        upper = upper - _shift(lower, tiles, weights, name, reverse=number % 2 == 0)
    flowed = writer.node("Concat", lower, upper, axis=1)
    if len(names) % 2:
        order = np.arange(2 * half).reshape(2, half)[:, ::-1].reshape(-1)
        flowed = flowed.apply("Gather", order, axis=1)
    rows = tiles.join(flowed, channels=2 * half)
    writer.output(rows.transpose(1, 0).reshape(1, 2 * half, -1), "flowed")
    return writer.model


def latent_channels(flow: Any) -> int:
    """The number of latent channels; MissingWeightError as for `rewrite`."""
    weights = _Weights(Writer(flow), flow)
    return 2 * weights.convolution(f"{weights.couplings()[0]}.post")[0].shape[0]


def _shift(lower: Tensor, tiles: Tiles, weights: _Weights, name: str, *, reverse: bool) -> Tensor:
    """What a coupling adds to the upper half of the channels: [M * T, C / 2] -> [M * T, C / 2].

    reverse: whether the channels of both halves are in reversed order.
    """
    order = slice(None, None, -1 if reverse else 1)
    first, first_bias = weights.convolution(f"{name}.pre")
    last, last_bias = weights.convolution(f"{name}.post")
    last, last_bias = last[order, :, 0], last_bias[order]
    half, channels = last.shape
    hidden = _multiply(lower, first[:, order, 0], first_bias) * tiles.inside
    conditions = weights.conditions(name)
    layers = weights.layers(name)
    shift = None
    for layer in range(layers):
        gates = tiles.convolve(hidden, *weights.convolution(f"{name}.enc.in_layers.{layer}"))
        if conditions is not None:
            start = layer * 2 * channels
            gates = gates + conditions.slice(start, start + 2 * channels, axis=1)
        filtered, gate = gates.split(channels, channels, axis=1)
        gated = filtered.apply("Tanh") * gate.apply("Sigmoid")
        # The rows of the residual connection, which the last layer has not, come before those of the skip connection.
        output, bias = weights.convolution(f"{name}.enc.res_skip_layers.{layer}")
        skip, skip_bias = last @ output[-channels:, :, 0], last @ bias[-channels:]
        if layer == layers - 1:
            part = _multiply(gated, skip, skip_bias + last_bias)
        else:
            both = np.concatenate([output[:channels, :, 0], skip])
            both_bias = np.concatenate([bias[:channels], skip_bias])
            change, part = _multiply(gated, both, both_bias).split(channels, half, axis=1)
            hidden = (hidden + change) * tiles.inside
        shift = part if shift is None else shift + part
    assert shift is not None
    return shift


def _multiply(rows: Tensor, matrix: _Array, bias: _Array) -> Tensor:
    """A convolution of one tap, [R, C] -> [R, D]: matrix [D, C], bias [D]."""
    new = rows.writer.new_weight
    return rows @ new(matrix.T) + new(bias)


class _Weights:
    """The weights of a flow by the names of VITS's modules, folded as exporters fold them."""

    def __init__(self, writer: Writer, flow: Any) -> None:
        self._writer = writer
        self._kernels = {
            node.input[2].removesuffix(".bias"): str(node.input[1])
            for node in flow.graph.node
            if node.op_type == "Conv" and len(node.input) == 3
        }
        self._speakers = [
            str(node.input[0])
            for node in flow.graph.node
            if node.op_type == "Gather" and "sid" in node.input
        ]

    def couplings(self) -> list[str]:
        """The names of the couplings in the order of the inverse."""
        pattern = re.compile(r"flow\.flows\.(\d+)\.")
        numbers = {int(found[1]) for found in map(pattern.match, self._kernels) if found}
        if not numbers:
            raise MissingWeightError("there are no couplings 'flow.flows'")
        return [f"flow.flows.{number}" for number in sorted(numbers, reverse=True)]

    def layers(self, coupling: str) -> int:
        """The number of a coupling's layers."""
        names = (f"{coupling}.enc.in_layers.{number}" for number in itertools.count())
        return sum(1 for _ in itertools.takewhile(self._kernels.__contains__, names))

    def convolution(self, name: str) -> tuple[_Array, _Array]:
        """The kernel [D, C, K] and the bias [D] of a convolution."""
        if name not in self._kernels:
            raise MissingWeightError(f"there is no convolution '{name}'")
        kernel = self._writer.values(self._kernels[name])
        return kernel.astype(np.float64), self._writer.values(f"{name}.bias").astype(np.float64)

    def conditions(self, coupling: str) -> Tensor | None:
        """What the speaker adds to the gates of all layers [1, L * 2H]; None for a single speaker."""
        name = f"{coupling}.enc.cond_layer"
        if name not in self._kernels:
            return None
        (table,) = self._speakers
        speaker = self._writer.weight(table).apply("Gather", self._writer.input("sid"), axis=0)
        kernel, bias = self.convolution(name)
        return _multiply(speaker, kernel[:, :, 0], bias)
