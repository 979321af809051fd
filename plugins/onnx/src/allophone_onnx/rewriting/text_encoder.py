"""The text encoder and duration predictor of a VITS voice, rewritten with fewer operators and less arithmetic.

PyTorch's exporters write one or two thousand nodes, most of which compute shapes, decompose layer norm, transpose or
select by mask. This module writes the same functions (sections 2.2.2 and 2.5.1 of Kim et al. 2021) with the same
weights, for a batch size of one, so without masks. The convolutions of the feed-forward layers, most of the
arithmetic, are computed by minimal filtering: see `tiles`.

They become two graphs, so that a stream need not wait for all of the second one. `context`: ids to the hidden
states before the last block. `prior`: these hidden states and a window of positions to the prior and the durations of
that window, as if the text began and ended with it, except that attention sees all of the text.

Legend: T text, H hidden channels, C latent channels, A attention heads, D channels per head, W positions that have
relative keys and values. Signals are rows, [T, channels].
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone_onnx.rewriting import duration_flow
from allophone_onnx.rewriting.layers import normalize, project
from allophone_onnx.rewriting.tiles import Tiles
from allophone_onnx.rewriting.writing import MissingWeightError, Operand, Tensor, Writer
from allophone_onnx.schema import FLOAT, INT64, value
from allophone_onnx.settings import CONTEXT, PRIOR


def rewrite(encoder: Any) -> dict[str, Any]:
    """Rewrite the encoder of a `CutVoice`, or an exported one, in two graphs.

    context: input [1, T] -> hidden [T, H].
    prior: hidden [T, H], window [2], the start and the end of the positions, scales [3], duration_noise [1, 2, end - start]
        and sid [1], for several speakers -> mean and log_scale [1, C, end - start], and durations [1, end - start].

    Returns a `Model` for each file name. Raises MissingWeightError if the weights do not have VITS's names.
    """
    return {CONTEXT: _context(encoder), PRIOR: _prior(encoder)}


def vocabulary_size(encoder: Any) -> int:
    """The number of ids; MissingWeightError as for `rewrite`."""
    return Writer(encoder).shape(_embedding_table(encoder, "enc_p.emb"))[0]


def margin(encoder: Any) -> int:
    """The number of positions at each end of a window that what is outside of it would affect."""
    writer = Writer(encoder)
    return 2 * (_taps(writer) // 2) + duration_flow.margin(writer)


def _context(encoder: Any) -> Any:
    writer = Writer(
        encoder,
        inputs=[value("input", INT64, [1, "ids"])],
        outputs=[value("hidden", FLOAT, ["ids", "channels"])],
    )
    name = _embedding_table(encoder, "enc_p.emb")
    table = writer.values(name).astype(np.float64) * math.sqrt(writer.shape(name)[1])
    ids = writer.input("input").reshape(-1)
    hidden = writer.new_weight(table).apply("Gather", ids)
    size = hidden.apply("Shape", end=1)
    near = _Neighbours(np.array([0]), size, size, reach=_reach(writer))
    tiles = Tiles(size, taps=_taps(writer), packed=True)
    for block in range(_blocks(writer) - 1):
        names = [f"{_attention_name(block)}.conv_{part}" for part in "qkv"]
        # What depends on the id only is looked up.
        projected = [
            project(hidden, name)
            if block
            else _projections(writer, table, name).apply("Gather", ids)
            for name in names
        ]
        hidden = _transform(hidden, projected, block, near, tiles)
    writer.output(hidden, "hidden")
    return writer.model


def _prior(encoder: Any) -> Any:
    writer = Writer(
        encoder,
        inputs=[
            value("hidden", FLOAT, ["ids", "channels"]),
            value("window", INT64, [2]),
            value("scales", FLOAT, [3]),
            value("duration_noise", FLOAT, [1, 2, "window"]),
            *(one for one in encoder.graph.input if one.name == "sid"),
        ],
        outputs=[
            value("mean", FLOAT, [1, "latent", "window"]),
            value("log_scale", FLOAT, [1, "latent", "window"]),
            value("durations", FLOAT, [1, "window"]),
        ],
    )
    hidden = writer.input("hidden")
    start, end = writer.input("window").split(1, 1, axis=0)
    size = end - start
    near = _Neighbours(start, size, hidden.apply("Shape", end=1), reach=_reach(writer))
    tiles = Tiles(size, taps=_taps(writer), packed=True)
    inside = hidden.apply("Slice", start, end, np.array([0]))
    block = _blocks(writer) - 1
    projected = [
        project(rows, f"{_attention_name(block)}.conv_{part}")
        for rows, part in ((inside, "q"), (hidden, "k"), (hidden, "v"))
    ]
    inside = _transform(inside, projected, block, near, tiles)
    channels = writer.shape("enc_p.proj.weight")[0] // 2
    priors = project(inside, "enc_p.proj").split(channels, channels, axis=1)
    for prior, name in zip(priors, ("mean", "log_scale"), strict=True):
        writer.output(prior.transpose(1, 0).reshape(1, channels, -1), name)
    speaker = None
    if "dp.cond.weight" in writer.weight_names():
        speakers = writer.weight(_embedding_table(encoder, "emb_g"))
        speaker = speakers.apply("Gather", writer.input("sid"), axis=0)
    writer.output(duration_flow.durations(inside, speaker=speaker), "durations")
    return writer.model


def _embedding_table(encoder: Any, module: str) -> str:
    """The name of an embedding's weight, which Piper's exporter does not keep."""
    name = f"{module}.weight"
    if any(one.name == name for one in encoder.graph.initializer):
        return name
    for node in encoder.graph.node:
        if node.name == f"/{module.replace('.', '/')}/Gather":
            return str(node.input[0])
    raise MissingWeightError(f"there is no embedding '{module}'")


def _projections(writer: Writer, table: NDArray[np.float64], name: str) -> Tensor:
    """A convolution of one tap of the embedding of each id, as a weight."""
    kernel, bias = writer.convolution(name)
    return writer.new_weight(table @ kernel[:, :, 0].T + bias)


def _blocks(writer: Writer) -> int:
    """The number of blocks of the transformer."""
    names = (f"{_attention_name(number)}.conv_q.weight" for number in itertools.count())
    return sum(1 for _ in itertools.takewhile(writer.weight_names().__contains__, names))


def _reach(writer: Writer) -> int:
    """The number of positions on each side that have relative keys and values."""
    return writer.shape(f"{_attention_name(0)}.emb_rel_k")[1] // 2


def _taps(writer: Writer) -> int:
    """The kernel size of the feed-forward layers."""
    return writer.shape(f"{_feed_forward_name(0)}.conv_1.weight")[2]


def _attention_name(block: int) -> str:
    return f"enc_p.encoder.attn_layers.{block}"


def _feed_forward_name(block: int) -> str:
    return f"enc_p.encoder.ffn_layers.{block}"


def _transform(
    hidden: Tensor, projected: list[Tensor], block: int, near: _Neighbours, tiles: Tiles
) -> Tensor:
    """A block of the transformer, [T, H] -> [T, H]. projected: as for `_attend`."""
    attended = _attend(projected, _attention_name(block), near)
    hidden = normalize(hidden + attended, f"enc_p.encoder.norm_layers_1.{block}")
    transformed = _feed_forward(hidden, _feed_forward_name(block), tiles)
    return normalize(hidden + transformed, f"enc_p.encoder.norm_layers_2.{block}")


class _Neighbours:
    """The positions around each of T positions of a text, shared by all blocks.

    index: [T, W], clamped to the text; inside: [T, W], 1 for positions inside of the text, else 0.
    """

    def __init__(self, start: Operand, size: Tensor, text: Tensor, *, reach: int) -> None:
        """start: the first of the positions [1]. size: T [1]. text: the size of the text [1]."""
        self._size = size
        last = text.apply("Squeeze") - np.array(1)
        offsets = np.arange(-reach, reach + 1)
        count = size.apply("Squeeze")
        positions = size.writer.node("Range", np.array(0), count, np.array(1)) + start
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


def _attend(projected: list[Tensor], name: str, near: _Neighbours) -> Tensor:
    """Attention with relative keys and values (Shaw et al. 2018), [T, H].

    projected: queries [T, H], and keys and values of all positions of the text.

    What is within reach is added along its few diagonals, rather than skewed from [T, 2T - 1] scores.
    """
    writer = projected[0].writer
    _, _, size = writer.shape(f"{name}.emb_rel_k")
    channels = writer.shape(f"{name}.conv_q.weight")[0]
    query, keys, values = (
        one.reshape(-1, channels // size, size) for one in projected
    )  # [T, A, D]
    query = (query * size**-0.5).transpose(1, 0, 2)
    index = near.by_head(channels // size)
    relative_keys = writer.weight(f"{name}.emb_rel_k").transpose(0, 2, 1)  # [1, D, W]
    relative_scores = (query @ relative_keys) * near.inside  # [A, T, W]
    scores = query @ keys.transpose(1, 2, 0)
    scores = scores.apply("ScatterElements", index, relative_scores, axis=2, reduction="add")
    weights = scores.apply("Softmax", axis=-1)  # [A, T, T]
    near_weights = weights.apply("GatherElements", index, axis=2) * near.inside
    attended = weights @ values.transpose(1, 0, 2)
    attended = attended + near_weights @ writer.weight(f"{name}.emb_rel_v")  # [A, T, D]
    return project(attended.transpose(1, 0, 2).reshape(-1, channels), f"{name}.conv_o")


def _feed_forward(hidden: Tensor, name: str, tiles: Tiles) -> Tensor:
    """Two convolutions with a ReLU in between: [T, H] -> [T, H]."""
    writer = hidden.writer
    tiled = tiles.divide(hidden, channels=writer.shape(f"{name}.conv_1.weight")[1])
    inner = tiles.convolve(tiled, *writer.convolution(f"{name}.conv_1")).apply("Relu")
    outer = tiles.convolve(inner * tiles.inside, *writer.convolution(f"{name}.conv_2"))
    return tiles.join(outer, channels=writer.shape(f"{name}.conv_2.weight")[0])
