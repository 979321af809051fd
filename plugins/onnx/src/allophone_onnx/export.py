"""Exporting modules to ONNX files, with control over the names of weights."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone.errors import UserError
from allophone.files.atomic import atomic_write

OPSET = 18
"""The first with all bitwise operators; supported by onnxruntime 1.14 and later."""

_NEEDED = ("onnx", "onnxscript")
_WITH_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "LayerNormalization": 1, "Gather": 0}
"""Operators of modules with weights, and the index of the weight among their inputs."""


@frozen(kw_only=True)
class Input:
    """An input of a graph.

    example: an example tensor; dynamic: its dynamic sizes, by axis.
    """

    example: Tensor
    dynamic: Mapping[int, torch.export.Dim]


def require_exporting() -> None:
    """Raise UserError if a package needed for export is missing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"Exporting to ONNX needs {' and '.join(missing)}.",
            hint="pip install 'allophone-onnx[export]'",
        )


def write_graph(
    path: Path,
    module: nn.Module,
    inputs: Mapping[str, Input],
    outputs: Sequence[str],
    *,
    name_weight: Callable[[str], str],
) -> None:
    """Write a module as an ONNX file.

    inputs: by argument name of `forward`, in order.
    name_weight: maps the name of a weight in `module` to its name in the file.
    """
    model = _traced(module, inputs, outputs)
    _forget_origins(model)
    weights = {name: name_weight(name) for name, _ in module.named_parameters()}
    _rename(model.graph, weights)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def _traced(module: nn.Module, inputs: Mapping[str, Input], outputs: Sequence[str]) -> Any:
    """The module as an `onnx.ModelProto`, with the names of weights kept."""
    import onnx_ir
    from onnxscript.optimizer import fold_constants_ir, remove_unused_nodes

    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module,
            kwargs={name: given.example for name, given in inputs.items()},
            dynamic_shapes={name: dict(given.dynamic) for name, given in inputs.items()},
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            # Its optimizer would merge equal weights and fold others, and so lose their names.
            optimize=False,
            verbose=False,
        )
    assert program is not None
    graph = program.model
    weights = set(graph.graph.initializers)

    def should_fold(node: Any) -> bool | None:
        touches = any(value is not None and value.name in weights for value in node.inputs)
        return False if touches else None

    for _ in range(2):
        fold_constants_ir(graph, onnx_shape_inference=True, should_fold=should_fold)
        _drop_zero_biases(graph.graph, weights)
        remove_unused_nodes(graph)
    return onnx_ir.serde.serialize_model(graph)


def _drop_zero_biases(graph: Any, weights: set[str]) -> None:
    """Remove the zero biases that the exporter adds to convolutions; importers would read them as weights."""
    for node in graph:
        if node.op_type in ("Conv", "ConvTranspose") and len(node.inputs) == 3:
            bias = node.inputs[2]
            values = bias.const_value
            if bias.name not in weights and values is not None and not values.numpy().any():
                node.resize_inputs(2)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's warnings about optional packages and about its internals."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _forget_origins(model: Any) -> None:
    """Remove metadata with source paths of the exporting machine."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""


def _rename(graph: Any, weights: Mapping[str, str]) -> None:
    """Rename weights, and name nodes after the modules of their weights.

    Importers of Piper voices rely on both.
    """
    for initializer in graph.initializer:
        initializer.name = weights.get(initializer.name, initializer.name)
    taken: Counter[str] = Counter()
    for node in graph.node:
        node.input[:] = [weights.get(name, name) for name in node.input]
        if node.op_type not in _WITH_WEIGHTS:
            continue
        module, _, parameter = node.input[_WITH_WEIGHTS[node.op_type]].rpartition(".")
        if parameter in ("weight", "gamma"):
            name = f"/{module.replace('.', '/')}/{node.op_type}"
            taken[name] += 1
            node.name = name if taken[name] == 1 else f"{name}_{taken[name] - 1}"
