"""Cutting a Piper voice, which is one graph, into text encoder, flow and decoder.

The cuts lie where VITS has them (figure 1b of Kim et al. 2021): before the prior is stretched to frames,
which `engine` does, and before the decoder. They are found by the names that PyTorch 2 gives the nodes of a
module, and by how the tensors between them are computed. A graph without such names is left whole.

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
"""Operators by which a frame may depend on all others."""

_DURATION_CHANNELS = 2
"""Of the noise that VITS's flow of durations takes (appendix A.1)."""


@frozen(kw_only=True)
class CutVoice:
    """The three parts of a voice, as `Model`s, and what is said of them."""

    encoder: Any
    flow: Any
    decoder: Any
    settings: PartsSettings
    hop_length: int


class CannotCutError(Exception):
    """A graph in which the places of the cuts are not found."""


def cut(model: Any) -> CutVoice:
    """Cut a voice's graph; CannotCutError where it is not built as VITS's exporters build it."""
    graph = _Graph(model)
    decoded = _decoder_input(graph)
    noise = _noise(graph, of_durations=False)
    rhythm = _noise(graph, of_durations=True)
    drawn = graph.step(graph.step(graph.step(noise.output[0], "Mul"), "Mul"), "Add").output[0]
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
    decoder_margin, hop_length = reach(decoder, "latents", "output")
    flow_margin, _ = reach(flow, "latents", "flowed")
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
    """A graph, and who makes and who takes each of its tensors."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.maker = {output: node for node in self.nodes for output in node.output}

    @cached_property
    def takers(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found

    def only(self, matching: Callable[[Any], bool], what: str) -> Any:
        found = [node for node in self.nodes if matching(node)]
        if len(found) != 1:
            raise CannotCutError(f"there are {len(found)} nodes for {what}")
        return found[0]

    def step(self, tensor: Any, operator: str) -> Any:
        """The one node of an operator that takes a tensor, or the output of a node."""
        name = tensor if isinstance(tensor, str) else tensor.output[0]
        found = [node for node in self.takers.get(name, []) if node.op_type == operator]
        if len(found) != 1:
            raise CannotCutError(f"{len(found)} nodes {operator} take {name}")
        return found[0]

    def made_by(self, tensor: str, operator: str) -> Any:
        node = self.maker.get(tensor)
        if node is None or node.op_type != operator:
            raise CannotCutError(f"{tensor} is not made by {operator}")
        return node

    def ancestors(self, tensors: Iterable[str]) -> set[str]:
        """The tensors that some tensors depend on, themselves included."""
        seen: set[str] = set()
        waiting = list(tensors)
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.maker:
                waiting += self.maker[name].input
        return seen

    def extract(
        self, *, outputs: dict[str, str], inputs: list[Any], renamed: dict[str, str]
    ) -> Any:
        """The part of the graph between some tensors and others, as a `Model`.

        outputs: the tensors, by the names that they get. renamed: tensors that are no longer computed, but
        given as inputs, with the names of these.
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
            if name in self.maker:
                wanted += self.maker[name].input
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
    """What the decoder's first convolution takes."""
    first = graph.only(
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
    """The mean and the logarithm of the scale of each id's prior, before both are stretched to frames."""
    add = graph.maker[drawn]
    scaled = graph.step(noise, "Mul")
    (exp,) = (name for name in scaled.input if name != noise)
    (mean,) = (name for name in add.input if noise not in graph.ancestors([name]))
    return _stretched(graph, mean), _stretched(graph, graph.made_by(exp, "Exp").input[0])


def _stretched(graph: _Graph, name: str) -> str:
    """What `Transpose(MatMul(path, Transpose(x)))` stretches."""
    product = graph.made_by(graph.made_by(name, "Transpose").input[0], "MatMul")
    return str(graph.made_by(product.input[1], "Transpose").input[0])


def _masked(graph: _Graph, decoded: str, noise: str) -> tuple[str, str]:
    """The mask of the frames, and what comes out of the flow, whose product is decoded."""
    product = graph.made_by(decoded, "Mul")
    depends = {name: noise in graph.ancestors([name]) for name in product.input}
    flowed = [name for name, random in depends.items() if random]
    mask = [name for name, random in depends.items() if not random]
    if len(flowed) != 1 or len(mask) != 1:
        raise CannotCutError("what is decoded is not masked")
    return mask[0], flowed[0]


def _durations(graph: _Graph) -> str:
    node = graph.only(lambda node: node.op_type == "Ceil", "rounding durations up")
    return str(node.output[0])


def reach(model: Any, start: str, end: str) -> tuple[int | None, int]:
    """How many positions of `start` before and after it decide a position of `end`, and how many positions
    of `end` there are to one of `start`.

    None for the first where there is no such number.
    """
    margins: dict[str, float | None] = {start: 0.0}
    rates: dict[str, int] = {start: 1}
    for node in model.graph.node:
        known = [name for name in node.input if name in margins]
        # A shape depends on how many positions there are, not on what they hold.
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
