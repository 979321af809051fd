"""Attention with relative keys and values (Shaw et al. 2018), as in VITS's text encoder.

Legend: T positions of a span, S of the whole text, H hidden channels, A attention heads, D channels per head, U distinct ids
of the text, W positions that have relative keys and values. Signals are rows, [T, H].
"""

from __future__ import annotations

import numpy as np

from allophone_onnx.rewriting.layers import project
from allophone_onnx.rewriting.spans import Span
from allophone_onnx.rewriting.writing import Tensor, Writer
from allophone_onnx.schema import FLOAT


class Neighbours:
    """The positions around each of a span of T, shared by all blocks.

    index: [T, W], clamped to the text; inside: [T, W], 1 for positions inside of the text, else 0.
    """

    def __init__(self, span: Span, *, reach: int) -> None:
        """reach: positions on each side, (W - 1) / 2."""
        zero, one = np.array(0), np.array(1)
        last = span.text_size.apply("Squeeze") - one
        limits = span.start.apply("Squeeze"), span.end.apply("Squeeze")
        positions = span.text_size.writer.node("Range", *limits, one)
        near = positions.reshape(-1, 1) + np.arange(-reach, reach + 1)
        self.index = near.apply("Clip", zero, last)
        self.inside = near.apply("Equal", self.index).apply("Cast", to=FLOAT)


class Attention:
    """The attention of a block.

    What is within reach is added along its few diagonals, rather than skewed from [T, 2S - 1] scores.
    """

    def __init__(self, writer: Writer, name: str, near: Neighbours) -> None:
        """name: of the module. near: the positions around those of the queries."""
        self._writer = writer
        self._name = name
        self._near = near
        self._channels = writer.shape(f"{name}.conv_q.weight")[0]
        _, _, self._size = writer.shape(f"{name}.emb_rel_k")
        self._heads = self._channels // self._size

    def __call__(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """query [T, H], keys and values [S, H] -> [T, H]."""
        query, keys, values = self._split_heads(query, keys, values)
        index, inside = self._for_each_head(self._near.index), self._near.inside
        near_scores = self._relative_scores(query) * inside
        scores = query @ keys.transpose(0, 2, 1)
        scores = scores.apply("ScatterElements", index, near_scores, axis=2, reduction="add")
        weights = scores.apply("Softmax", axis=-1)  # [A, T, S]
        near_weights = weights.apply("GatherElements", index, axis=2) * inside
        return self._joined(weights @ values + self._relative_values(near_weights))

    def over_distinct_ids(
        self, query: Tensor, keys: Tensor, values: Tensor, *, inverse: Tensor, counts: Tensor
    ) -> Tensor:
        """The same where keys and values depend on the id only, as in the first block: a sum over the distinct ids, of
        which a text has some forty.

        query: [T, H]. keys, values: of the distinct ids [U, H]. inverse: the distinct id of each position [S].
        counts: the number of positions of each [U].
        """
        query, keys, values = self._split_heads(query, keys, values)
        near_ids = inverse.apply("Gather", self._near.index)  # [T, W]
        index, inside = self._for_each_head(near_ids), self._near.inside
        scores = query @ keys.transpose(0, 2, 1)  # [A, T, U]
        near_scores = scores.apply("GatherElements", index, axis=2)
        near_scores = near_scores + self._relative_scores(query) * inside
        last = np.array([-1])
        largest = scores.apply("ReduceMax", last).apply("Max", near_scores.apply("ReduceMax", last))
        weights = (scores - largest).apply("Exp")
        near_weights = (near_scores - largest).apply("Exp") * inside
        # Positions within reach have weights of their own, so they are not among those of their id. These are whole
        # numbers: nothing is lost by subtracting.
        rows = near_ids.apply("Shape", end=1)
        counts = counts.apply("Expand", self._writer.node("Concat", rows, np.array([1]), axis=0))
        far = counts.apply("Cast", to=FLOAT).apply(
            "ScatterElements", near_ids, -inside, axis=1, reduction="add"
        )  # [T, U]
        weights = (weights * far).apply(
            "ScatterElements", index, near_weights, axis=2, reduction="add"
        )
        total = weights.apply("ReduceSum", last)
        weights, near_weights = weights / total, near_weights / total
        return self._joined(weights @ values + self._relative_values(near_weights))

    def _split_heads(self, query: Tensor, keys: Tensor, values: Tensor) -> list[Tensor]:
        """Each [R, H] -> [A, R, D]; queries are scaled."""
        query, keys, values = (
            one.reshape(-1, self._heads, self._size) for one in (query, keys, values)
        )
        query = query * self._size**-0.5
        return [one.transpose(1, 0, 2) for one in (query, keys, values)]

    def _for_each_head(self, index: Tensor) -> Tensor:
        """[T, W] -> [A, T, W]."""
        return index.apply("Expand", np.array([self._heads, 1, 1]))

    def _relative_scores(self, query: Tensor) -> Tensor:
        """[A, T, D] -> [A, T, W]."""
        return query @ self._writer.weight(f"{self._name}.emb_rel_k").transpose(0, 2, 1)

    def _relative_values(self, near_weights: Tensor) -> Tensor:
        """[A, T, W] -> [A, T, D]."""
        return near_weights @ self._writer.weight(f"{self._name}.emb_rel_v")

    def _joined(self, attended: Tensor) -> Tensor:
        """[A, T, D] -> [T, H]."""
        rows = attended.transpose(1, 0, 2).reshape(-1, self._channels)
        return project(rows, f"{self._name}.conv_o")
