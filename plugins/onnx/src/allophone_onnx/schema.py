"""The part of ONNX's file format needed to split and write a graph, as protobuf messages.

The package `onnx` is large and only needed for export. Fields that are not declared here survive reading and
writing, because protobuf keeps unknown fields. Numbers are those of onnx.proto3.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Entry": {"key": (1, "string"), "value": (2, "string")},
    "Tensor": {
        "dims": (1, "int64*"),
        "data_type": (2, "int32"),
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
        "external_data": (13, "Entry*"),
        "data_location": (14, "int32"),
    },
    "Attribute": {
        "name": (1, "string"),
        "f": (2, "float"),
        "i": (3, "int64"),
        "s": (4, "bytes"),
        "t": (5, "Tensor"),
        "ints": (8, "int64*"),
        "type": (20, "int32"),
    },
    "Node": {
        "input": (1, "string*"),
        "output": (2, "string*"),
        "name": (3, "string"),
        "op_type": (4, "string"),
        "attribute": (5, "Attribute*"),
    },
    "Dimension": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
    "Shape": {"dim": (1, "Dimension*")},
    "TensorType": {"elem_type": (1, "int32"), "shape": (2, "Shape")},
    "Type": {"tensor_type": (1, "TensorType")},
    "Value": {"name": (1, "string"), "type": (2, "Type")},
    "Graph": {
        "node": (1, "Node*"),
        "name": (2, "string"),
        "initializer": (5, "Tensor*"),
        "input": (11, "Value*"),
        "output": (12, "Value*"),
        "value_info": (13, "Value*"),
    },
    "OperatorSet": {"domain": (1, "string"), "version": (2, "int64")},
    "Model": {"graph": (7, "Graph"), "opset_import": (8, "OperatorSet*")},
}
"""Number and type of the fields of each message; a star means repeated."""

FLOAT = 1
"""TensorProto.DataType.FLOAT."""
INT8 = 3
"""TensorProto.DataType.INT8."""
FLOAT16 = 10
"""TensorProto.DataType.FLOAT16."""
INT64 = 7
"""TensorProto.DataType.INT64."""
ATTRIBUTE_FLOAT, ATTRIBUTE_INT, ATTRIBUTE_STRING, ATTRIBUTE_INTS = 1, 2, 3, 7
"""AttributeProto.AttributeType."""
EXTERNAL = 1
"""TensorProto.DataLocation.EXTERNAL."""

_PACKAGE = "allophone_onnx"


def _build() -> dict[str, Any]:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            scalar = kind.rstrip("*")
            many = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
            added = described.field.add(name=name, number=number, label=many)
            if scalar in _MESSAGES:
                added.type, added.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{scalar}"
            else:
                added.type = getattr(field, f"TYPE_{scalar.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _build()
Model: Any = _CLASSES["Model"]
Attribute: Any = _CLASSES["Attribute"]
Value: Any = _CLASSES["Value"]


def value(name: str, kind: int, sizes: list[int | str]) -> Any:
    """An input or output of a graph; a size given as a name is dynamic."""
    described = Value(name=name)
    described.type.tensor_type.elem_type = kind
    for size in sizes:
        dimension = described.type.tensor_type.shape.dim.add()
        if isinstance(size, str):
            dimension.dim_param = size
        else:
            dimension.dim_value = size
    return described
