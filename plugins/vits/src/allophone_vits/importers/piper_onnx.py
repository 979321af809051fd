"""Read the weights of a Piper voice: a VITS model exported to ONNX for inference.

The exporter keeps the reference's module paths as node names, but not all names of weights: it folds
constants, shares equal tensors and numbers tensors computed from weights. So tensors are found through the
nodes that use them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from allophone.errors import UserError

_PARTS = ("enc_p.", "enc_q.", "dec.", "flow.", "dp.", "emb_g.")


@frozen(kw_only=True)
class PiperGraph:
    """The model in an ONNX file.

    tensors: under the reference's names; upsample_rates, residual_dilations: of the decoder.
    """

    tensors: Mapping[str, Tensor]
    upsample_rates: Sequence[int]
    residual_dilations: Sequence[Sequence[int]]


def read_graph(path: Path) -> PiperGraph:
    """Read the ONNX file of a Piper voice; UserError if it is not one."""
    graph = _load(path)
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [(node, *_module_of(node)) for node in graph.node]
    if not any(module.startswith("enc_p.") for _, module, _ in nodes):
        raise UserError(
            f"{path} is not a Piper voice: no node is named after a module of VITS.",
            hint="Voices exported with PyTorch 1 have no names; import their training checkpoint instead.",
        )
    if not any(module.startswith("dec.conv_pre") for _, module, _ in nodes):
        raise UserError(
            f"{path} has another decoder than Piper's, HiFi-GAN, and cannot be converted back.",
            hint="Run the file as it is (--engine onnx), or use the voice folder that it was exported from.",
        )
    found: dict[str, Any] = {}
    for node, module, operator in nodes:
        for name, source in _weights_of(node, module, operator):
            if source in initializers:
                found[name] = initializers[source]
    used = {tensor.name for tensor in found.values()}
    for name, tensor in initializers.items():
        if name.startswith(_PARTS) and name not in used:
            found.setdefault(name, tensor)
    tensors = {name: _to_torch(tensor) for name, tensor in found.items()}
    tensors |= _affine_scale(nodes, initializers)
    return PiperGraph(
        tensors=tensors,
        upsample_rates=[
            _attribute(node, "strides")[0]
            for node, module, operator in nodes
            if operator == "ConvTranspose" and module.startswith("dec.ups.")
        ],
        residual_dilations=_dilations(nodes),
    )


_Node = tuple[Any, str, str]


def _load(path: Path) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise UserError(
            "Importing Piper voices requires the package onnx.",
            hint="pip install 'allophone-vits[piper]'",
        ) from error
    try:
        return onnx.load(str(path)).graph
    except Exception as error:
        raise UserError(f"{path} is not a valid ONNX file: {error}") from error


def _to_torch(tensor: Any) -> Tensor:
    from onnx import numpy_helper

    return torch.from_numpy(numpy_helper.to_array(tensor).copy())


def _module_of(node: Any) -> tuple[str, str]:
    """The module of a node, such as "dec.ups.0", and the node's operator."""
    path, _, _ = node.name.strip("/").rpartition("/")
    return path.replace("/", "."), node.op_type


def _weights_of(node: Any, module: str, operator: str) -> Iterator[tuple[str, str]]:
    """Yield the weights that a node uses: the reference's name and the initializer's."""
    if operator in ("Conv", "ConvTranspose"):
        yield from zip((f"{module}.weight", f"{module}.bias"), node.input[1:], strict=False)
    elif operator == "Gather" and module in ("enc_p.emb", "emb_g"):
        yield f"{module}.weight", node.input[0]
    elif re.search(r"\.norm(_\d|s_\d\.\d+|_layers_\d\.\d+)$", module):
        if operator == "LayerNormalization":
            yield from zip((f"{module}.gamma", f"{module}.beta"), node.input[1:], strict=False)
        elif operator == "Mul":
            yield from ((f"{module}.gamma", source) for source in node.input)
        # Another Add node adds epsilon; only beta is added to a product.
        elif operator == "Add" and any("/Mul" in source for source in node.input):
            yield from ((f"{module}.beta", source) for source in node.input)
    elif module == "dp.flows.0" and operator == "Sub":
        yield "dp.flows.0.m", node.input[1]


def _affine_scale(nodes: Sequence[_Node], initializers: Mapping[str, Any]) -> dict[str, Tensor]:
    """Read the log scale of the duration predictor's affine flow.

    The inverse multiplies by exp(-logs). Depending on the exporter, all of it, the exponent or nothing is
    folded into a constant.
    """
    producers = {output: node for node, _, _ in nodes for output in node.output}
    for node, module, operator in nodes:
        if module != "dp.flows.0" or operator != "Mul":
            continue
        for source in node.input:
            if source in initializers:
                return {"dp.flows.0.logs": -_to_torch(initializers[source]).log()}
            exponent = producers.get(source)
            if exponent is None or exponent.op_type != "Exp":
                continue
            if exponent.input[0] in initializers:
                return {"dp.flows.0.logs": -_to_torch(initializers[exponent.input[0]])}
            negated = producers[exponent.input[0]].input[0]
            if negated in initializers:
                return {"dp.flows.0.logs": _to_torch(initializers[negated])}
    return {}


def _attribute(node: Any, name: str) -> list[int]:
    values = [list(attribute.ints) for attribute in node.attribute if attribute.name == name]
    return values[0] if values else [1]


def _dilations(nodes: Sequence[_Node]) -> list[list[int]]:
    """Dilations of each parallel residual block, read from the first stage: all stages are alike."""
    by_block: dict[int, dict[int, int]] = {}
    stages = len({module for _, module, _ in nodes if re.fullmatch(r"dec\.ups\.\d+", module)})
    for node, module, operator in nodes:
        match = re.fullmatch(r"dec\.resblocks\.(\d+)\.convs1?\.(\d+)", module)
        if match and operator == "Conv":
            by_block.setdefault(int(match[1]), {})[int(match[2])] = _attribute(node, "dilations")[0]
    blocks = len(by_block) // max(stages, 1)
    return [
        [by_block[block][index] for index in sorted(by_block[block])] for block in range(blocks)
    ]
