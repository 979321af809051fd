"""Spans of a text in a graph."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from allophone_onnx.rewriting.spans import Span
from allophone_onnx.rewriting.writing import Writer
from allophone_onnx.schema import FLOAT, INT64, Model, value

SIZE = 20


def around(start, end, margin, **rounding):
    """The rows, which tell their positions, of a span with a margin; and of the span, selected among these."""
    writer = Writer(
        Model.FromString(b"\x08\x09"),  # of version 9, which the schema does not know
        inputs=[value("limits", INT64, [2]), value("rows", FLOAT, ["size", 1])],
        outputs=[value("wider", FLOAT, ["wider", 1]), value("span", FLOAT, ["span", 1])],
    )
    first, last = writer.input("limits").split(1, 1, axis=0)
    rows = writer.input("rows")
    span = Span(start=first, end=last, text_size=rows.apply("Shape", end=1))
    wider = span.around(margin, **rounding)
    selected = wider.select(rows)
    writer.output(selected, "wider")
    writer.output(span.select(selected, among=wider), "span")
    session = onnxruntime.InferenceSession(writer.model.SerializeToString())
    rows = np.arange(SIZE, dtype=np.float32)[:, None]
    outputs = session.run(["wider", "span"], {"limits": np.array([start, end]), "rows": rows})
    return [one.reshape(-1).tolist() for one in outputs]


@pytest.mark.parametrize(
    ("start", "end", "margin", "rounding", "first", "last"),
    [
        (7, 9, 0, {}, 7, 9),
        (7, 9, 3, {}, 4, 12),
        (7, 9, 2, {"multiple": 4}, 4, 11),
        (8, 9, 4, {"multiple": 4}, 4, 13),
        (2, 19, 5, {}, 0, SIZE),
        (0, SIZE, 5, {"multiple": 4}, 0, SIZE),
    ],
)
def test_a_span_has_a_margin_within_the_text(start, end, margin, rounding, first, last):
    wider, span = around(start, end, margin, **rounding)
    assert wider == list(range(first, last))
    assert span == list(range(start, end))
