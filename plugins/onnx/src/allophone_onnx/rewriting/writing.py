"""Writing an ONNX graph as arithmetic on tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone_onnx.schema import (
    ATTRIBUTE_FLOAT,
    ATTRIBUTE_INT,
    ATTRIBUTE_INTS,
    ATTRIBUTE_STRING,
    FLOAT,
    INT64,
    Attribute,
    Model,
)

_OPERATOR_SET = 20
"""The version of ONNX's operators: the first with Gelu."""

_KINDS = {"float32": FLOAT, "int64": INT64}


class MissingWeightError(Exception):
    """A graph does not have a weight of the given name."""


@frozen
class Tensor:
    """A tensor of a `Writer`'s graph; arithmetic on it adds nodes to the graph."""

    writer: Writer
    name: str

    def apply(self, operator: str, *others: Operand, **attributes: Attributes) -> Tensor:
        """The output of an operator whose first input is this tensor."""
        return self.writer.node(operator, self, *others, **attributes)

    def __add__(self, other: Operand) -> Tensor:
        return self.apply("Add", other)

    def __sub__(self, other: Operand) -> Tensor:
        return self.apply("Sub", other)

    def __mul__(self, other: Operand) -> Tensor:
        return self.apply("Mul", other)

    def __truediv__(self, other: Operand) -> Tensor:
        return self.apply("Div", other)

    def __matmul__(self, other: Tensor) -> Tensor:
        return self.apply("MatMul", other)

    def __neg__(self) -> Tensor:
        return self.apply("Neg")

    def transpose(self, *order: int) -> Tensor:
        return self.apply("Transpose", perm=order)

    def reshape(self, *sizes: int) -> Tensor:
        """As in ONNX, one size may be -1 (inferred), and 0 keeps the current size."""
        return self.apply("Reshape", np.array(sizes))

    def slice(self, start: int, stop: int, *, axis: int) -> Tensor:
        return self.apply("Slice", np.array([start]), np.array([stop]), np.array([axis]))

    def split(self, *sizes: int, axis: int) -> list[Tensor]:
        return self.writer.nodes("Split", self, np.array(sizes), outputs=len(sizes), axis=axis)


Operand = Tensor | float | NDArray[Any]
"""An input of an operator; a number becomes a constant."""

Attributes = int | float | str | Sequence[int]


class Writer:
    """Writes a graph with the weights of another graph.

    model: the graph so far, a `Model`.
    """

    def __init__(
        self, source: Any, *, inputs: Sequence[Any] = (), outputs: Sequence[Any] = ()
    ) -> None:
        """inputs, outputs: `schema.value`s; by default, those of the source graph."""
        self.model = Model()
        self.model.CopyFrom(source)
        for field in ("node", "initializer", "value_info"):
            self.model.graph.ClearField(field)
        for field, given in (("input", inputs), ("output", outputs)):
            if given:
                self.model.graph.ClearField(field)
                getattr(self.model.graph, field).extend(given)
        self.model.ClearField("opset_import")
        self.model.opset_import.add(version=_OPERATOR_SET)
        self._weights = {one.name: one for one in source.graph.initializer}
        self._written: set[str] = set()

    def input(self, name: str) -> Tensor:
        return Tensor(self, name)

    def output(self, tensor: Tensor, name: str) -> None:
        """Make a tensor an output of the graph."""
        self.model.graph.node.add(op_type="Identity", input=[tensor.name], output=[name])

    def weight_names(self) -> list[str]:
        return list(self._weights)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a weight; MissingWeightError if there is none with this name."""
        if name not in self._weights:
            raise MissingWeightError(f"there is no weight '{name}'")
        return tuple(self._weights[name].dims)

    def values(self, name: str) -> NDArray[np.float32]:
        """The values of a weight."""
        sizes = self.shape(name)
        return np.frombuffer(self._weights[name].raw_data, dtype="<f4").reshape(sizes)

    def convolution(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The kernel [D, C, K] and the bias [D] of a convolution, to compute with."""
        kernel, bias = (self.values(f"{name}.{part}") for part in ("weight", "bias"))
        return kernel.astype(np.float64), bias.astype(np.float64)

    def weight(self, name: str, *, shape: Sequence[int] | None = None) -> Tensor:
        """A weight of the source graph, of another shape if given; MissingWeightError if there is none of this name."""
        sizes = self.shape(name)
        if name not in self._written:
            self._written.add(name)
            # An input may have the same name.
            self.model.graph.initializer.add().CopyFrom(self._weights[name])
            self.model.graph.initializer[-1].name = f"weight:{name}"
            self.model.graph.initializer[-1].dims[:] = shape or sizes
        return Tensor(self, f"weight:{name}")

    def new_weight(self, values: NDArray[Any]) -> Tensor:
        """A weight that the source graph does not have, as float32."""
        name = f"new weight:{len(self.model.graph.initializer)}"
        self.model.graph.initializer.add(
            name=name, dims=values.shape, data_type=FLOAT, raw_data=values.astype("<f4").tobytes()
        )
        return Tensor(self, name)

    def node(self, operator: str, *inputs: Operand, **attributes: Attributes) -> Tensor:
        """Add an operator with one output."""
        (output,) = self.nodes(operator, *inputs, outputs=1, **attributes)
        return output

    def nodes(
        self, operator: str, *inputs: Operand, outputs: int, **attributes: Attributes
    ) -> list[Tensor]:
        """Add an operator with several outputs."""
        number = len(self.model.graph.node)
        names = [f"{operator}:{number}:{output}" for output in range(outputs)]
        self.model.graph.node.add(
            op_type=operator,
            name=f"{operator}:{number}",
            input=[self._operand(one).name for one in inputs],
            output=names,
            attribute=[_attribute(name, given) for name, given in attributes.items()],
        )
        return [Tensor(self, name) for name in names]

    def _operand(self, given: Operand) -> Tensor:
        if isinstance(given, Tensor):
            return given
        values = np.asarray(given, dtype=np.float32 if isinstance(given, float) else None)
        kind = _KINDS[values.dtype.name]
        name = f"constant:{kind}:{values.shape}:{values.tobytes().hex()}"
        if name not in self._written:
            self._written.add(name)
            self.model.graph.initializer.add(
                name=name, dims=values.shape, data_type=kind, raw_data=values.tobytes()
            )
        return Tensor(self, name)


def _attribute(name: str, given: Attributes) -> Any:
    if isinstance(given, int):
        return Attribute(name=name, i=given, type=ATTRIBUTE_INT)
    if isinstance(given, float):
        return Attribute(name=name, f=given, type=ATTRIBUTE_FLOAT)
    if isinstance(given, str):
        return Attribute(name=name, s=given.encode(), type=ATTRIBUTE_STRING)
    return Attribute(name=name, ints=given, type=ATTRIBUTE_INTS)
