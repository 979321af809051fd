"""Spans of a text: a part of a signal is computed from that part of its input that it depends on.

S positions of the whole text. Signals are rows, [positions, channels].
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from allophone_onnx.rewriting.writing import Tensor


@frozen(kw_only=True)
class Span:
    """Positions `start` to `end` of a text of `text_size`, S; each is a tensor [1]."""

    start: Tensor
    end: Tensor
    text_size: Tensor

    @property
    def size(self) -> Tensor:
        return self.end - self.start

    def around(self, margin: int, *, multiple: int = 1) -> Span:
        """This span with `margin` more positions on each side, as far as the text has them.

        multiple: the start is rounded down to one of this.
        """
        reach, step = np.array([margin]), np.array([multiple])
        start = (self.start - reach).apply("Max", np.array([0]))
        return Span(
            start=start if multiple == 1 else start / step * step,
            end=(self.end + reach).apply("Min", self.text_size),
            text_size=self.text_size,
        )

    def select(self, rows: Tensor, *, among: Span | None = None) -> Tensor:
        """The rows of these positions. among: those of which the rows are given; None for all of the text."""
        start, end = self.start, self.end
        if among is not None:
            start, end = start - among.start, end - among.start
        return rows.apply("Slice", start, end, np.array([0]))
