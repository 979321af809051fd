"""The loop captured by CUDA graphs: equal to streaming, whatever its buffers held before."""

from __future__ import annotations

import pytest
import torch
from attrs import evolve
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.inference.protocol import VocoderSpec
from allophone_diffwave import looping
from allophone_diffwave.config import DiffwaveConfig
from allophone_diffwave.controls import DiffwaveControls
from allophone_diffwave.looping import MAX_LOOPS, StaticLoops
from allophone_diffwave.network import Denoiser
from allophone_diffwave.samplers import FAST_BETAS
from allophone_diffwave.vocoder import DiffwaveVocoder, build_vocoder

MELS = 5
SMALL = DiffwaveConfig(channels=4, layers=5, dilation_cycle=4)
FRAMES = (7, 1, 4, 8, 5)
"""Lengths such that a shorter utterance follows a longer one, and one fills its buffers exactly."""


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A capacity step of four frames, so that short utterances have several capacities."""
    monkeypatch.setattr(looping, "CAPACITY_STEP", 1024)


def vocoder_of(controls: DiffwaveControls, device: str = "cpu") -> DiffwaveVocoder:
    """A vocoder with random weights, including its output layer."""
    torch.manual_seed(0)
    denoiser = Denoiser(SMALL, mels=MELS)
    torch.nn.init.normal_(denoiser.output.weight)
    spec = VocoderSpec(vocoder=SMALL, audio=MelSpec(n_mels=MELS))
    vocoder = build_vocoder(spec, denoiser.state_dict(), torch.device(device))
    return vocoder.with_controls(controls)


def looping_of(controls: DiffwaveControls) -> DiffwaveVocoder:
    """A vocoder that uses the loop, as on a GPU."""
    vocoder = vocoder_of(controls)
    vocoder._loops = StaticLoops(
        vocoder._folded, vocoder._plan, clamp_always=controls.clamp == "always"
    )
    return vocoder


def mel_of(frames: int) -> Tensor:
    return torch.randn(1, MELS, frames, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize(
    "controls",
    [
        DiffwaveControls(),
        DiffwaveControls(seed=3, betas=FAST_BETAS, clamp="always"),
        DiffwaveControls(sampler="ddim", steps=4),
        DiffwaveControls(sampler="dpm", steps=5),
        DiffwaveControls(steps=1),
    ],
    ids=["usual", "fast", "ddim", "dpm", "one step"],
)
def test_the_loop_matches_streaming(controls: DiffwaveControls) -> None:
    streaming, whole = vocoder_of(controls), looping_of(controls)
    for frames in FRAMES:
        mel = mel_of(frames)
        expected = torch.cat(list(streaming.stream(mel)))
        (found,) = whole.stream(mel)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_loop_matches_streaming_in_bf16() -> None:
    controls = DiffwaveControls(precision="bf16")
    mel = mel_of(7)
    expected = torch.cat(list(vocoder_of(evolve(controls, precision="fp32")).stream(mel)))
    (found,) = looping_of(controls).stream(mel)
    assert float((found - expected).abs().mean()) < 0.02 * float(expected.abs().mean())


def test_batch_and_stream_are_equal() -> None:
    vocoder = looping_of(DiffwaveControls())
    mel = torch.cat([mel_of(8), mel_of(8)])
    together = vocoder.vocode(mel, torch.tensor([8, 3]))
    for row, frames in enumerate((8, 3)):
        (alone,) = vocoder.stream(mel[row : row + 1, :, :frames])
        assert torch.equal(together[row, : frames * 256], alone)
    assert not together[1, 3 * 256 :].any()


def test_results_are_not_overwritten_by_later_calls() -> None:
    vocoder = looping_of(DiffwaveControls())
    (first,) = vocoder.stream(mel_of(4))
    kept = first.clone()
    list(vocoder.stream(mel_of(3)))
    assert torch.equal(first, kept)


def test_buffers_work_inside_and_outside_of_inference_mode() -> None:
    vocoder = looping_of(DiffwaveControls())
    with torch.inference_mode():
        (inside,) = vocoder.stream(mel_of(4))
    (outside,) = vocoder.stream(mel_of(4))
    assert torch.equal(inside, outside)


def test_long_utterances_are_processed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looping, "MAX_SAMPLES", 2 * 1024)
    monkeypatch.setattr("allophone_diffwave.sampling.CPU_CHUNK", 700)
    vocoder = looping_of(DiffwaveControls())
    assert len(list(vocoder.stream(mel_of(8)))) == 1
    assert len(list(vocoder.stream(mel_of(9)))) > 1
    assert list(vocoder.stream(mel_of(0))) == []


def test_the_most_recently_used_loops_are_kept() -> None:
    vocoder = looping_of(DiffwaveControls(steps=1))
    loops = vocoder._loops
    assert loops is not None
    for rooms in (1, 2, 3, 4, 1, 5):
        list(vocoder.stream(mel_of(4 * rooms)))
        assert len(loops._loops) <= MAX_LOOPS
    assert list(loops._loops) == [3 * 1024, 4 * 1024, 1024, 5 * 1024]


@pytest.mark.gpu
@pytest.mark.parametrize("sampler", ["ddpm", "dpm"])
def test_the_graph_matches_the_cpu(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    controls = DiffwaveControls(sampler=sampler)
    expected, found = vocoder_of(controls), vocoder_of(controls, "cuda")
    for frames in (*FRAMES, *FRAMES):
        mel = mel_of(frames)
        (whole,) = found.stream(mel.cuda())
        torch.testing.assert_close(
            whole.cpu(), torch.cat(list(expected.stream(mel))), rtol=0, atol=1e-4
        )
