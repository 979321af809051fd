"""Storing the weights of a graph in half the space, as float16.

The graph computes in float32 as before: each weight is followed by a cast, which onnxruntime does once, when
it loads the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from allophone_onnx.schema import ATTRIBUTE_INT, FLOAT, FLOAT16, Model

_SMALLEST = 1024
"""Numbers of a weight that is worth a cast."""


def halve(model: Any, *, keep: Callable[[str], bool] = lambda _: False) -> Any:
    """A copy of a `Model` with its large float32 weights as float16.

    keep: whether a weight, by name, stays as it is; such as tables of a transform, which need all their digits.
    """
    halved = Model()
    halved.CopyFrom(model)
    graph = halved.graph
    nodes = list(graph.node)
    graph.ClearField("node")
    for tensor in graph.initializer:
        if tensor.data_type != FLOAT or len(tensor.raw_data) < 4 * _SMALLEST or keep(tensor.name):
            continue
        values = np.frombuffer(tensor.raw_data, dtype="<f4")
        name, tensor.name = tensor.name, f"half:{tensor.name}"
        tensor.raw_data = values.astype("<f2").tobytes()
        tensor.data_type = FLOAT16
        cast = graph.node.add(op_type="Cast", input=[tensor.name], output=[name])
        attribute = cast.attribute.add(name="to", i=FLOAT)
        attribute.type = ATTRIBUTE_INT
    graph.node.extend(nodes)
    return halved
