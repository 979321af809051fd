"""The text encoder and duration predictor of a VITS voice, rewritten with fewer operators and less arithmetic.

PyTorch's exporters write one or two thousand nodes, most of which compute shapes, decompose layer norm, transpose or
select by mask. This module writes the same functions (sections 2.2.2 and 2.5.1 of Kim et al. 2021) with the same
weights, for a batch size of one, so without masks. The convolutions of the feed-forward layers, most of the
arithmetic, are computed by minimal filtering: see `tiles`.

They become two graphs, so that a stream need not wait for all of the second one. `context`: ids to the hidden
states before the last block. `prior`: these hidden states to the prior and the durations of a window of positions,
which are computed from the positions that they depend on.

Legend: T positions of a span, S of the whole text, H hidden channels, C latent channels. Signals are rows, [T, channels].
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone_onnx.rewriting import duration_flow
from allophone_onnx.rewriting.attention import Attention, Neighbours
from allophone_onnx.rewriting.layers import normalize, project
from allophone_onnx.rewriting.spans import Span
from allophone_onnx.rewriting.tiles import Tiles
from allophone_onnx.rewriting.winograd import TILE
from allophone_onnx.rewriting.writing import MissingWeightError, Tensor, Writer
from allophone_onnx.schema import FLOAT, INT64, value
from allophone_onnx.settings import CONTEXT, PRIOR


def rewrite(encoder: Any) -> dict[str, Any]:
    """Rewrite the encoder of a `CutVoice`, or an exported one, in two graphs.

    context: input [1, S] -> hidden [S, H].
    prior: hidden [S, H], window [2], the start and the end of T positions, scales [3], duration_noise [1, 2, S] and
        sid [1], for several speakers -> mean and log_scale [1, C, T], and durations [1, T].

    Returns a `Model` for each file name. Raises MissingWeightError if the weights do not have VITS's names.
    """
    return {CONTEXT: _context(encoder), PRIOR: _prior(encoder)}


def vocabulary_size(encoder: Any) -> int:
    """The number of ids; MissingWeightError as for `rewrite`."""
    return Writer(encoder).shape(_embedding_table(encoder, "enc_p.emb"))[0]


def _context(encoder: Any) -> Any:
    writer = Writer(
        encoder,
        inputs=[value("input", INT64, [1, "ids"])],
        outputs=[value("hidden", FLOAT, ["ids", "channels"])],
    )
    name = _embedding_table(encoder, "enc_p.emb")
    table = writer.values(name).astype(np.float64) * math.sqrt(writer.shape(name)[1])
    ids = writer.input("input").reshape(-1)
    distinct, _, inverse, counts = writer.nodes("Unique", ids, outputs=4)
    hidden = writer.new_weight(table).apply("Gather", ids)
    size = hidden.apply("Shape", end=1)
    near = Neighbours(Span(start=size - size, end=size, text_size=size), reach=_reach(writer))
    tiles = Tiles(size, taps=_taps(writer), packed=True)
    for block in range(_blocks(writer) - 1):
        name = _attention_name(block)
        attention = Attention(writer, name, near)
        if block == 0:
            # Here they depend on the id only, and are looked up.
            query, keys, values = (
                _projections(writer, table, f"{name}.conv_{part}").apply("Gather", rows)
                for rows, part in ((ids, "q"), (distinct, "k"), (distinct, "v"))
            )
            attended = attention.over_distinct_ids(
                query, keys, values, inverse=inverse, counts=counts
            )
        else:
            query, keys, values = (project(hidden, f"{name}.conv_{part}") for part in "qkv")
            attended = attention(query, keys, values)
        hidden = _transform(hidden, attended, block, tiles)
    writer.output(hidden, "hidden")
    return writer.model


def _prior(encoder: Any) -> Any:
    writer = Writer(
        encoder,
        inputs=[
            value("hidden", FLOAT, ["ids", "channels"]),
            value("window", INT64, [2]),
            value("scales", FLOAT, [3]),
            value("duration_noise", FLOAT, [1, 2, "ids"]),
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
    window = Span(start=start, end=end, text_size=hidden.apply("Shape", end=1))
    durations_need = window.around(duration_flow.margin(writer))
    # Beginning with a tile of the convolutions, it is rounded as in the whole text.
    span = durations_need.around(2 * (_taps(writer) // 2), multiple=TILE)
    near = Neighbours(span, reach=_reach(writer))
    tiles = Tiles(span.size, taps=_taps(writer), packed=True)
    inside = span.select(hidden)
    block = _blocks(writer) - 1
    name = _attention_name(block)
    query, keys, values = (
        project(rows, f"{name}.conv_{part}")
        for rows, part in ((inside, "q"), (hidden, "k"), (hidden, "v"))
    )
    attended = Attention(writer, name, near)(query, keys, values)
    inside = _transform(inside, attended, block, tiles)
    channels = writer.shape("enc_p.proj.weight")[0] // 2
    priors = project(window.select(inside, among=span), "enc_p.proj")
    halves = priors.split(channels, channels, axis=1)
    for half, output in zip(halves, ("mean", "log_scale"), strict=True):
        writer.output(half.transpose(1, 0).reshape(1, channels, -1), output)
    speaker = None
    if "dp.cond.weight" in writer.weight_names():
        speakers = writer.weight(_embedding_table(encoder, "emb_g"))
        speaker = speakers.apply("Gather", writer.input("sid"), axis=0)
    inside = durations_need.select(inside, among=span)
    durations = duration_flow.durations(inside, span=window, speaker=speaker)
    writer.output(durations, "durations")
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
    """A convolution of one tap of each id's row of a table, as a weight."""
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


def _transform(hidden: Tensor, attended: Tensor, block: int, tiles: Tiles) -> Tensor:
    """A block of the transformer, [T, H] -> [T, H]; attended: what its attention yields [T, H]."""
    hidden = normalize(hidden + attended, f"enc_p.encoder.norm_layers_1.{block}")
    transformed = _feed_forward(hidden, _feed_forward_name(block), tiles)
    return normalize(hidden + transformed, f"enc_p.encoder.norm_layers_2.{block}")


def _feed_forward(hidden: Tensor, name: str, tiles: Tiles) -> Tensor:
    """Two convolutions with a ReLU in between: [T, H] -> [T, H]."""
    writer = hidden.writer
    tiled = tiles.divide(hidden, channels=writer.shape(f"{name}.conv_1.weight")[1])
    inner = tiles.convolve(tiled, *writer.convolution(f"{name}.conv_1")).apply("Relu")
    outer = tiles.convolve(inner * tiles.inside, *writer.convolution(f"{name}.conv_2"))
    return tiles.join(outer, channels=writer.shape(f"{name}.conv_2.weight")[0])
