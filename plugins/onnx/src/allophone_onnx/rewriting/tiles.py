"""Convolutions of rows by minimal filtering (see `winograd`), as operators of a graph.

Legend: F frames, C and D channels, K taps of a kernel, M frames of a tile, N = M + K - 1, T tiles. A signal is rows
[F, C]. In tiles it is rows [M * T, C]: first the first frames of all tiles, then the second ones, and so on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from allophone_onnx.rewriting.winograd import TILE, transforms
from allophone_onnx.rewriting.writing import Tensor, Writer
from allophone_onnx.schema import FLOAT

_Array = NDArray[np.float64]


class Tiles:
    """The division of F frames into tiles, of which the last one ends with at least one frame of zeros.

    inside: [M * T, 1], 1 for the frames of the signal and 0 for those after its end.
    """

    def __init__(self, frames: Tensor, *, taps: int, packed: bool) -> None:
        """frames: F [1]. taps: K, the same for all convolutions.

        packed: whether onnxruntime packs the matrices when it loads the graph, and not each time it runs. It only does so
            for matrices, not for stacks of them. Short texts gain most, but at the start it takes time and memory.
        """
        writer = frames.writer
        self._packed = packed
        self._transforms = transforms(outputs=TILE, taps=taps)
        self._frames = frames
        count = frames.apply("Div", np.array([TILE])) + np.array([1])
        self._rows = count * np.array([TILE])
        order = self._in_tiles(_numbers(writer, self._rows).reshape(-1, 1), channels=1)
        self.inside = order.apply("Less", frames).apply("Cast", to=FLOAT)
        # The signal of a tile begins half a kernel before it, so it has frames of the tiles on either side.
        tile, frame = np.divmod(np.arange(TILE + taps - 1)[:, None] - taps // 2, TILE)
        column = _numbers(writer, count) + tile
        last = (count - np.array([1])).apply("Squeeze")
        exists = column.apply("Equal", column.apply("Clip", np.array(0), last))
        zeros = self._rows - np.array([1])
        self._around = exists.apply("Where", column + count * frame, zeros)  # [N, T]

    def divide(self, rows: Tensor, *, channels: int) -> Tensor:
        """[F, C] -> [M * T, C], with zeros after the end."""
        added = self._rows - self._frames
        pads = rows.writer.node("Concat", np.zeros(2, dtype=np.int64), added, np.array([0]), axis=0)
        return self._in_tiles(rows.apply("Pad", pads), channels=channels)

    def join(self, tiled: Tensor, *, channels: int) -> Tensor:
        """[M * T, C] -> [F, C]."""
        in_order = tiled.reshape(TILE, -1, channels).transpose(1, 0, 2).reshape(-1, channels)
        return in_order.apply("Slice", np.array([0]), self._frames, np.array([0]))

    def convolve(self, tiled: Tensor, kernel: _Array, bias: _Array) -> Tensor:
        """A convolution of frames, [M * T, C] -> [M * T, D]: kernel [D, C, K], bias [D]."""
        new, size = tiled.writer.new_weight, len(self._transforms.signal)
        outputs, channels, _ = kernel.shape
        products = np.einsum("nk,dck->ncd", self._transforms.kernel, kernel)
        signals = tiled.apply("Gather", self._around, axis=0).reshape(size, -1)  # [N, T * C]
        factors = new(self._transforms.signal) @ signals  # [N, T * C]
        if self._packed:
            writer = tiled.writer
            split = writer.nodes(
                "Split", factors.reshape(-1, channels), outputs=size, axis=0, num_outputs=size
            )
            parts = [one @ new(matrix) for one, matrix in zip(split, products, strict=True)]
            filtered = writer.node("Concat", *parts, axis=0)
        else:
            filtered = factors.reshape(size, -1, channels) @ new(products)
        filtered = filtered.reshape(size, -1)  # [N, T * D]
        return (new(self._transforms.output) @ filtered).reshape(-1, outputs) + new(bias)

    def _in_tiles(self, rows: Tensor, *, channels: int) -> Tensor:
        """[M * T, C] in the order of frames -> [M * T, C] in that of tiles."""
        return rows.reshape(-1, TILE, channels).transpose(1, 0, 2).reshape(-1, channels)


def _numbers(writer: Writer, count: Tensor) -> Tensor:
    """0, 1 and so on: count [1] -> [count]."""
    return writer.node("Range", np.array(0), count.apply("Squeeze"), np.array(1))
