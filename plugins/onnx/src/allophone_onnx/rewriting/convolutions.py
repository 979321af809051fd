"""Convolutions over frames, written as convolutions over images of one row.

onnxruntime has direct convolutions for images only (its layout NCHWc); those over frames are made from copies of the
signal and a product of matrices. In a decoder, which has few channels and many frames, the copies take longer.
"""

from __future__ import annotations

from typing import Any

from allophone_onnx.schema import INT64, Model

_ROWS = "rows"
_PER_AXIS = ("kernel_shape", "dilations", "strides")
_OPERATOR_SET = 13
"""The first in which `Squeeze` and `Unsqueeze` take their axes as an input."""


def over_images(model: Any) -> Any:
    """A copy of a graph, in which convolutions [C, F] are convolutions [C, 1, F] with the same weights."""
    written = Model()
    written.CopyFrom(model)
    graph = written.graph
    if any(not one.domain and one.version < _OPERATOR_SET for one in model.opset_import):
        return written
    weights = _kernels(graph)
    axis = graph.initializer.add(name=_ROWS, dims=[1], data_type=INT64)
    axis.raw_data = (2).to_bytes(8, "little")
    graph.ClearField("node")
    # Shapes of tensors in between may not be those of the copy.
    graph.ClearField("value_info")
    for node in model.graph.node:
        if node.op_type != "Conv" or node.input[1] not in weights:
            graph.node.add().CopyFrom(node)
            continue
        signal, output = f"{node.output[0]}:rows", f"{node.output[0]}:convolved"
        graph.node.add(op_type="Unsqueeze", input=[node.input[0], _ROWS], output=[signal])
        convolution = graph.node.add()
        convolution.CopyFrom(node)
        convolution.input[0], convolution.output[0] = signal, output
        for attribute in convolution.attribute:
            if attribute.name in _PER_AXIS:
                attribute.ints.insert(0, 1)
            elif attribute.name == "pads":
                before, after = attribute.ints
                attribute.ints[:] = [0, before, 0, after]
        graph.node.add(op_type="Squeeze", input=[output, _ROWS], output=[node.output[0]])
    for tensor in weights.values():
        tensor.dims.insert(2, 1)
    return written


def _kernels(graph: Any) -> dict[str, Any]:
    """The weights that are kernels over frames and nothing else, by name."""
    uses: dict[str, set[tuple[str, int]]] = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            uses.setdefault(name, set()).add((node.op_type, position))
    return {
        one.name: one
        for one in graph.initializer
        if uses.get(one.name) == {("Conv", 1)} and len(one.dims) == 3
    }
