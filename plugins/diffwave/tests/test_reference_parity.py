"""The network, the loss and the samplers match the reference implementation to rounding.

The numbers in data/reference.npz were computed once by the package `diffwave` 0.1.7 (in float32 on a CPU)
with the sizes of `SIZES`, the weights of `filled` and the inputs of `inputs`. Weights are not stored: each is
drawn anew from the name that the reference has for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from allophone.audio.spectrogram import mel_spectrogram
from allophone.inference.protocol import VocoderSpec
from allophone_diffwave.config import DiffwaveConfig
from allophone_diffwave.controls import DiffwaveControls
from allophone_diffwave.diffusion import diffuse, noise_loss
from allophone_diffwave.importers.checkpoint import reference_name
from allophone_diffwave.importers.lmnt import mels_of
from allophone_diffwave.network import Denoiser
from allophone_diffwave.samplers import FAST_BETAS
from allophone_diffwave.sampling import SeededNoise
from allophone_diffwave.vocoder import DiffwaveVocoder
from allophone_testing.corpus import synthetic_speech
from allophone_testing.parity import Golden, golden_fixture, normal

golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")
MELS = 8
FRAMES = 10
CLOSE = 1e-5
"""Tolerance per sample."""

SIZES = {
    "base": DiffwaveConfig(),
    "small": DiffwaveConfig(channels=8, layers=7, dilation_cycle=3),
}


def filled(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Random normal weights of a realistic scale, with the reference's names."""
    state = {}
    for name, shape in shapes.items():
        draw = normal(name, shape)
        size = np.sqrt(np.prod(shape[1:])) if name.endswith("weight") else 10
        state[name] = torch.from_numpy((draw / size).astype(np.float32))
    return state


def inputs() -> dict[str, Tensor]:
    draw = np.random.RandomState(1)
    mel = draw.uniform(0, 1, (2, MELS, FRAMES))
    audio, noise = draw.uniform(-1, 1, (2, 2, FRAMES * 256))
    return {
        "mel": torch.from_numpy(mel.astype(np.float32)),
        "audio": torch.from_numpy(audio.astype(np.float32)),
        "noise": torch.from_numpy(noise.astype(np.float32)),
    }


def drawn(update: int) -> Tensor:
    """The sampler's initial noise, 0, and the noise of its updates [N]."""
    noise = np.random.RandomState(100 + update).standard_normal(FRAMES * 256)
    return torch.from_numpy(noise.astype(np.float32))


@pytest.fixture(params=list(SIZES))
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def denoiser(size: str) -> Iterator[Denoiser]:
    denoiser = Denoiser(SIZES[size], mels=MELS)
    state = denoiser.state_dict()
    weights = filled({reference_name(name): tuple(value.shape) for name, value in state.items()})
    denoiser.load_state_dict({name: weights[reference_name(name)] for name in state})
    with torch.no_grad():
        yield denoiser.eval()


def expect(ours: Tensor, theirs: np.ndarray, *, atol: float = CLOSE) -> None:
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=atol)


def test_the_predicted_noise(size: str, denoiser: Denoiser, golden: Golden) -> None:
    given = inputs()
    assert golden[f"{size}/whole"].std() > 0.03
    steps = torch.tensor([3, 41])
    expect(denoiser(given["audio"], given["mel"], steps), golden[f"{size}/whole"])
    between = torch.tensor([22.99237])
    expect(denoiser(given["audio"], given["mel"], between), golden[f"{size}/between"])
    # A batch of fractional steps, which the reference does not support.
    for_both = denoiser(given["audio"], given["mel"], between.expand(2))
    expect(for_both, golden[f"{size}/between"])


def test_the_loss(size: str, denoiser: Denoiser, golden: Golden) -> None:
    given = inputs()
    step = torch.tensor([17, 30])
    alpha_bar = denoiser.alpha_bar[step]
    predicted_noise = denoiser(
        diffuse(given["audio"], given["noise"], alpha_bar), given["mel"], step
    )
    expect(noise_loss(predicted_noise, given["noise"]), golden[f"{size}/loss"])


@pytest.mark.parametrize(
    ("size", "schedule"),
    [("base", "fast"), ("small", "fast"), ("small", "full")],
    indirect=["size"],
)
def test_samplers_under_the_same_noise(
    size: str,
    schedule: str,
    denoiser: Denoiser,
    golden: Golden,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def draw(self: SeededNoise, update: int, start: int, stop: int) -> Tensor:
        return drawn(update)[start:stop]

    monkeypatch.setattr(SeededNoise, "draw", draw)
    controls = DiffwaveControls(
        steps=50, betas=FAST_BETAS if schedule == "fast" else (), clamp="always"
    )
    spec = VocoderSpec(vocoder=SIZES[size], audio=mels_of(n_mels=MELS))
    vocoder = DiffwaveVocoder(denoiser, spec, controls)
    mel = inputs()["mel"][:1]
    heard = vocoder.vocode(mel, torch.tensor([FRAMES]))
    theirs = golden[f"{size}/{schedule}"]
    assert (np.abs(theirs) < 1).mean() > 0.3
    expect(heard, theirs)


def test_mels_of_the_reference(golden: Golden) -> None:
    audio = mels_of()
    samples = synthetic_speech("the sun rose", pitch=110.0, sample_rate=audio.sample_rate, seed=0)
    mel = mel_spectrogram(torch.from_numpy(samples[: 40 * 256])[None], audio)[0]
    expect(mel, golden["mel"], atol=2e-5)


def test_the_base_model_has_its_published_size() -> None:
    denoiser = Denoiser(DiffwaveConfig(), mels=80)
    assert sum(parameter.numel() for parameter in denoiser.parameters()) == 2_619_971
