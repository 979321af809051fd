"""Splitting a Piper voice, which is a single graph, into text encoder, flow and decoder.

The cuts are those of VITS's parts (figure 1b of Kim et al. 2021): before the prior is expanded to frames,
which `engine` does, and before the decoder. They are found by the names that PyTorch 2 gives the nodes of a
module, and by the operators between them. A graph without such names is not split.

T text, F frames, C latent channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from attrs import frozen

from allophone_onnx.schema import FLOAT, Model, value
from allophone_onnx.settings import PartsSettings

_UNBOUNDED = frozenset({"MatMul", "Softmax", "ReduceMean", "ReduceSum", "ReduceMax", "CumSum"})
"""Operators with which a frame may depend on all others."""

_DURATION_CHANNELS = 2
"""Channels of the noise of VITS's stochastic duration predictor (appendix A.1)."""


@frozen(kw_only=True)
class CutVoice:
    """The three parts of a voice as `Model`s, and their settings."""

    encoder: Any
    flow: Any
    decoder: Any
    settings: PartsSettings
    hop_length: int


class CannotCutError(Exception):
    """The places to cut were not found in a graph."""


def cut(model: Any) -> CutVoice:
    """Split a voice's graph; CannotCutError if it does not have the structure of an exported VITS."""
    graph = _Graph(model)
    decoded = _decoder_input(graph)
    noise = _noise(graph, of_durations=False)
    rhythm = _noise(graph, of_durations=True)
    drawn = graph.consumer(
        graph.consumer(graph.consumer(noise.output[0], "Mul"), "Mul"), "Add"
    ).output[0]
    mean, log_scale = _prior(graph, drawn, noise.output[0])
    mask, flowed = _masked(graph, decoded, noise.output[0])
    durations = _durations(graph)
    channels = _DURATION_CHANNELS if rhythm else 0

    replaced = {rhythm.output[0]: "duration_noise"} if rhythm else {}
    encoder = graph.extract(
        outputs={"mean": mean, "log_scale": log_scale, "durations": durations},
        inputs=[*model.graph.input, value("duration_noise", FLOAT, [1, channels, "phonemes"])],
        renamed=replaced,
    )
    speaker = [one for one in model.graph.input if one.name == "sid"]
    latent = value("latents", FLOAT, [1, "channels", "frames"])
    flow = graph.extract(
        outputs={"flowed": flowed},
        inputs=[latent, value("mask", FLOAT, [1, 1, "frames"]), *speaker],
        renamed={drawn: "latents", mask: "mask"},
    )
    decoder = graph.extract(
        outputs={"output": model.graph.output[0].name},
        inputs=[latent, *speaker],
        renamed={decoded: "latents"},
    )
    decoder_margin, hop_length = receptive_field(decoder, "latents", "output")
    flow_margin, _ = receptive_field(flow, "latents", "flowed")
    if decoder_margin is None:
        raise CannotCutError("every sample depends on all frames")
    return CutVoice(
        encoder=encoder,
        flow=flow,
        decoder=decoder,
        settings=PartsSettings(
            decoder_margin=decoder_margin, flow_margin=flow_margin, duration_channels=channels
        ),
        hop_length=hop_length,
    )


class _Graph:
    """A graph with the producer and the consumers of each tensor."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.producer = {output: node for node in self.nodes for output in node.output}

    @cached_property
    def consumers(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found

    def find_one(self, matching: Callable[[Any], bool], what: str) -> Any:
        found = [node for node in self.nodes if matching(node)]
        if len(found) != 1:
            raise CannotCutError(f"there are {len(found)} nodes for {what}")
        return found[0]

    def consumer(self, tensor: Any, operator: str) -> Any:
        """The only consumer with this operator of a tensor, or of the output of a node."""
        name = tensor if isinstance(tensor, str) else tensor.output[0]
        found = [node for node in self.consumers.get(name, []) if node.op_type == operator]
        if len(found) != 1:
            raise CannotCutError(f"{len(found)} nodes {operator} consume {name}, expected one")
        return found[0]

    def produced_by(self, tensor: str, operator: str) -> Any:
        node = self.producer.get(tensor)
        if node is None or node.op_type != operator:
            raise CannotCutError(f"{tensor} is not the output of {operator}")
        return node

    def ancestors(self, tensors: Iterable[str]) -> set[str]:
        """All tensors that `tensors` depend on, including themselves."""
        seen: set[str] = set()
        waiting = list(tensors)
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.producer:
                waiting += self.producer[name].input
        return seen

    def extract(
        self, *, outputs: dict[str, str], inputs: list[Any], renamed: dict[str, str]
    ) -> Any:
        """The part of the graph between `renamed` and `outputs`, as a `Model`.

        outputs: maps new names of outputs to tensors. renamed: maps tensors that become inputs to their new
        names.
        """
        found = Model()
        found.CopyFrom(self.model)
        graph = found.graph
        for field in ("node", "initializer", "input", "output", "value_info"):
            graph.ClearField(field)
        graph.input.extend(inputs)
        given = {one.name for one in inputs} | set(renamed)
        wanted, needed = list(outputs.values()), set()
        while wanted:
            name = wanted.pop()
            if name in needed or name in given:
                continue
            needed.add(name)
            if name in self.producer:
                wanted += self.producer[name].input
        graph.node.extend(node for node in self.nodes if any(o in needed for o in node.output))
        graph.initializer.extend(one for one in self.model.graph.initializer if one.name in needed)
        named = renamed | {tensor: name for name, tensor in outputs.items()}
        for node in graph.node:
            node.input[:] = [named.get(name, name) for name in node.input]
            node.output[:] = [named.get(name, name) for name in node.output]
        graph.output.extend(value(name, FLOAT, []) for name in outputs)
        for one in graph.output:
            one.type.tensor_type.ClearField("shape")
        return found


def _decoder_input(graph: _Graph) -> str:
    """The input of the decoder's first convolution."""
    first = graph.find_one(
        lambda node: node.op_type == "Conv" and node.name.startswith("/dec/conv_pre/"),
        "the decoder's first convolution",
    )
    return str(first.input[0])


def _noise(graph: _Graph, *, of_durations: bool) -> Any:
    """The node that draws the prior's noise, or the duration predictor's, if it has one."""
    drawn = [
        node
        for node in graph.nodes
        if node.op_type == "RandomNormalLike" and node.name.startswith("/dp/") == of_durations
    ]
    if of_durations and not drawn:
        return None
    if len(drawn) != 1:
        raise CannotCutError(f"noise is drawn in {len(drawn)} places")
    return drawn[0]


def _prior(graph: _Graph, drawn: str, noise: str) -> tuple[str, str]:
    """The mean and the log scale of each id's prior, before both are expanded to frames."""
    add = graph.producer[drawn]
    scaled = graph.consumer(noise, "Mul")
    (exp,) = (name for name in scaled.input if name != noise)
    (mean,) = (name for name in add.input if noise not in graph.ancestors([name]))
    return _before_expansion(graph, mean), _before_expansion(
        graph, graph.produced_by(exp, "Exp").input[0]
    )


def _before_expansion(graph: _Graph, name: str) -> str:
    """The `x` of `Transpose(MatMul(path, Transpose(x)))`, which expands it to frames."""
    product = graph.produced_by(graph.produced_by(name, "Transpose").input[0], "MatMul")
    return str(graph.produced_by(product.input[1], "Transpose").input[0])


def _masked(graph: _Graph, decoded: str, noise: str) -> tuple[str, str]:
    """The mask of the frames and the output of the flow, whose product is the decoder's input."""
    product = graph.produced_by(decoded, "Mul")
    depends = {name: noise in graph.ancestors([name]) for name in product.input}
    flowed = [name for name, random in depends.items() if random]
    mask = [name for name, random in depends.items() if not random]
    if len(flowed) != 1 or len(mask) != 1:
        raise CannotCutError("the decoder's input is not masked")
    return mask[0], flowed[0]


def _durations(graph: _Graph) -> str:
    node = graph.find_one(lambda node: node.op_type == "Ceil", "rounding durations up")
    return str(node.output[0])


def receptive_field(model: Any, start: str, end: str) -> tuple[int | None, int]:
    """The context of a position of `end` in positions of `start`, on each side, and the upsampling rate.

    The context is None if it is unbounded.
    """
    margins: dict[str, float | None] = {start: 0.0}
    rates: dict[str, int] = {start: 1}
    for node in model.graph.node:
        known = [name for name in node.input if name in margins]
        # A shape does not depend on values.
        if not known or node.op_type == "Shape":
            continue
        rate = max(rates[name] for name in known)
        margin: float | None = 0.0
        for name in known:
            before = margins[name]
            margin = None if margin is None or before is None else max(margin, before)
        if node.op_type in _UNBOUNDED:
            margin = None
        elif node.op_type in ("Conv", "ConvTranspose") and margin is not None:
            attributes = {one.name: list(one.ints) for one in node.attribute}
            kernel = attributes["kernel_shape"][0]
            dilation = attributes.get("dilations", [1])[0]
            stride = attributes.get("strides", [1])[0]
            if node.op_type == "ConvTranspose":
                margin += -(-kernel // stride) / rate
                rate *= stride
            else:
                margin += dilation * (kernel - 1) / 2 / rate
        for name in node.output:
            margins[name], rates[name] = margin, rate
    found = margins[end]
    return (None if found is None else int(-(-found // 1))), rates[end]
