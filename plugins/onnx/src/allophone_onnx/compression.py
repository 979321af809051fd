"""Storing the weights of a graph in less space: as float16 or as int8.

The graph computes in float32 as before: each weight is followed by the operators that restore it, which
onnxruntime runs once, when it optimises the graph. `restore` runs them before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone_onnx.schema import ATTRIBUTE_INT, FLOAT, FLOAT16, INT8, Model

_SMALLEST = 1024
"""Numbers of a weight that is worth another operator."""


_COMPRESSED = {FLOAT16: "<f2", INT8: "i1"}
_PREFIXES = ("half:", "int8:")
"""Of the names of compressed weights."""


def halve(model: Any, *, keep: Callable[[str], bool] = lambda _: False) -> Any:
    """A copy of a `Model` with its large float32 weights as float16.

    keep: whether a weight, by name, stays as it is; such as tables of a transform, which need all their digits.
    """
    halved, nodes = _without_nodes(model)
    for tensor in _large(halved, keep):
        values = np.frombuffer(tensor.raw_data, dtype="<f4")
        name, tensor.name = tensor.name, f"half:{tensor.name}"
        tensor.raw_data = values.astype("<f2").tobytes()
        tensor.data_type = FLOAT16
        _add_cast(halved.graph, tensor.name, name)
    halved.graph.node.extend(nodes)
    return halved


def quantize(model: Any, *, keep: Callable[[str], bool] = lambda _: False) -> Any:
    """A copy of a `Model` with its large float32 matrices and kernels as int8 with a scale per output channel.

    A value changes by at most 0.4 % of the largest of its channel. keep: as in `halve`.
    """
    quantized, nodes = _without_nodes(model)
    columns = {node.input[1] for node in nodes if node.op_type == "MatMul"}
    for tensor in _large(quantized, keep):
        if len(tensor.dims) < 2:
            continue
        values = np.frombuffer(tensor.raw_data, dtype="<f4").reshape(tensor.dims)
        # The output channels of a matrix that is multiplied from the right are its columns.
        channel = values.ndim - 1 if tensor.name in columns else 0
        others = tuple(axis for axis in range(values.ndim) if axis != channel)
        scale = np.maximum(np.abs(values).max(others, keepdims=True), 1e-12) / np.float32(127)
        name, tensor.name = tensor.name, f"int8:{tensor.name}"
        tensor.raw_data = np.round(values / scale).astype(np.int8).tobytes()
        tensor.data_type = INT8
        quantized.graph.initializer.add(
            name=f"scale:{name}", dims=scale.shape, data_type=FLOAT, raw_data=scale.tobytes()
        )
        _add_cast(quantized.graph, tensor.name, f"cast:{name}")
        quantized.graph.node.add(
            op_type="Mul", input=[f"cast:{name}", f"scale:{name}"], output=[name]
        )
    quantized.graph.node.extend(nodes)
    return quantized


def restore(model: Any) -> Any:
    """A copy of a `Model` whose weights are as they were before `halve` or `quantize`, up to their rounding."""
    restored, nodes = _without_nodes(model)
    stored = {one.name: one for one in restored.graph.initializer}
    values: dict[str, NDArray[np.float32]] = {}
    used = set()
    for node in nodes:
        source = node.input[0] if node.input else ""
        if source.startswith(_PREFIXES) and source in stored and node.op_type == "Cast":
            tensor = stored[source]
            kind = _COMPRESSED[tensor.data_type]
            numbers = np.frombuffer(tensor.raw_data, dtype=kind).reshape(tensor.dims)
            values[node.output[0]] = numbers.astype(np.float32)
            used.add(source)
        elif source in values and source.startswith("cast:") and node.op_type == "Mul":
            scale = stored[node.input[1]]
            factors = np.frombuffer(scale.raw_data, dtype="<f4").reshape(scale.dims)
            values[node.output[0]] = values.pop(source) * factors
            used.add(scale.name)
        else:
            restored.graph.node.add().CopyFrom(node)
    kept = [one for name, one in stored.items() if name not in used]
    restored.graph.ClearField("initializer")
    restored.graph.initializer.extend(kept)
    for name, numbers in values.items():
        restored.graph.initializer.add(
            name=name, dims=numbers.shape, data_type=FLOAT, raw_data=numbers.tobytes()
        )
    return restored


def _without_nodes(model: Any) -> tuple[Any, list[Any]]:
    """A copy without nodes, and the nodes, which must come after those that restore the weights."""
    copy = Model()
    copy.CopyFrom(model)
    nodes = list(copy.graph.node)
    copy.graph.ClearField("node")
    return copy, nodes


def _large(model: Any, keep: Callable[[str], bool]) -> Iterator[Any]:
    for tensor in list(model.graph.initializer):
        large = len(tensor.raw_data) >= 4 * _SMALLEST
        if tensor.data_type == FLOAT and large and not keep(tensor.name):
            yield tensor


def _add_cast(graph: Any, stored: str, restored: str) -> None:
    cast = graph.node.add(op_type="Cast", input=[stored], output=[restored])
    attribute = cast.attribute.add(name="to", i=FLOAT)
    attribute.type = ATTRIBUTE_INT
