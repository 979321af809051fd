"""The model matches the public implementation numerically, where that is correct.

data/reference.npz was computed with p0p4k/vits2_pytorch (commit 1f4f379) in float32 on a CPU, with the sizes
of `config_of`, the inputs of `inputs`, dropout and alignment noise off, and PyTorch's global generator
seeded with 0 before every call. Its compiled alignment search was replaced by the textbook recursion.
Weights are not stored; each is generated from its name in the public implementation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import pytest
import torch

from allophone.audio.melspec import MelSpec
from allophone_hifigan.config import HifiganConfig
from allophone_testing.parity import Golden, golden_fixture, weight
from allophone_vits.config import TextEncoderConfig
from allophone_vits.gaussian import kl_loss
from allophone_vits.inference import convert_latents, decode, infer_latents
from allophone_vits.layers import sequence_mask
from allophone_vits2.config import (
    DurationDiscriminatorConfig,
    FlowKind,
    Vits2Config,
    Vits2Controls,
    Vits2DurationConfig,
    Vits2FlowConfig,
    Vits2PosteriorEncoderConfig,
)
from allophone_vits2.duration_discriminator import DurationDiscriminator
from allophone_vits2.importers.names import (
    reference_duration_discriminator_name,
    reference_generator_name,
)
from allophone_vits2.model import Vits2

golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
AUDIO = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=4000)
VOCABULARY = 20
FRAMES = 20
SEGMENT = 8
SPEAKERS = {"single": 1, "multi": 3}
DURATIONS: dict[str, Literal["stochastic", "convolutional"]] = {
    "stochastic": "stochastic",
    "convolutional": "convolutional",
}


def inputs() -> dict[str, torch.Tensor]:
    draw = np.random.RandomState(1)
    tokens = torch.from_numpy(draw.randint(0, VOCABULARY, (2, 9)))
    mel = torch.from_numpy(draw.standard_normal((2, 8, FRAMES)).astype(np.float32))
    mel[1, :, 14:] = 0
    hidden, real, predicted = (
        torch.from_numpy(draw.standard_normal((2, channels, 9)).astype(np.float32))
        for channels in (12, 1, 1)
    )
    return {
        "tokens": tokens,
        "token_lengths": torch.tensor([9, 6]),
        "mel": mel,
        "frame_lengths": torch.tensor([20, 14]),
        "speakers": torch.tensor([2, 1]),
        "hidden": hidden,
        "real": real,
        "predicted": predicted,
    }


def config_of(kind: FlowKind, duration: str) -> Vits2Config:
    return Vits2Config(
        latent_channels=8,
        speaker_channels=6,
        text_encoder=TextEncoderConfig(hidden_channels=12, feed_forward_channels=24, layers=3),
        posterior_encoder=Vits2PosteriorEncoderConfig(hidden_channels=12),
        flow=Vits2FlowConfig(kind=kind, hidden_channels=12),
        duration=Vits2DurationConfig(
            kind=DURATIONS[duration], stochastic_channels=12, noise_channels=0
        ),
        decoder=HifiganConfig(channels=16, upsample_rates=(4, 4), upsample_kernel_sizes=(8, 8)),
    )


def model_of(kind: FlowKind, speakers: str, duration: str) -> Vits2:
    config = config_of(kind, duration)
    model = Vits2(config, vocabulary_size=VOCABULARY, speakers=SPEAKERS[speakers], audio=AUDIO)
    model.load_state_dict(
        {
            name: weight(
                reference_generator_name(name, flow=kind, blocks=3, paired=True),
                tuple(tensor.shape),
            )
            for name, tensor in model.state_dict().items()
        }
    )
    return model.eval()


def expect(ours: torch.Tensor, golden: np.ndarray) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), golden, **TOLERANCE)


every_flow = pytest.mark.parametrize("kind", get_args(FlowKind))


@pytest.fixture
def case(request: pytest.FixtureRequest, golden: Golden) -> tuple[Vits2, dict[str, np.ndarray]]:
    """A model and the public implementation's outputs."""
    kind, speakers, duration = request.param
    name = f"{kind}/{speakers}/{duration}/"
    numbers = {key.removeprefix(name): golden[key] for key in golden if key.startswith(name)}
    return model_of(cast(FlowKind, kind), speakers, duration), numbers


CASES = [
    (kind, speakers, duration)
    for kind in get_args(FlowKind)
    for speakers in SPEAKERS
    for duration in DURATIONS
]


@pytest.mark.parametrize("case", CASES, indirect=True, ids="-".join)
def test_training_pass(
    case: tuple[Vits2, dict[str, np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, numbers = case
    starts = torch.from_numpy(numbers["segment_starts"])
    monkeypatch.setattr("allophone_vits.model.random_starts", lambda *_: starts)
    given = inputs()
    torch.manual_seed(0)
    output = model(
        tokens=given["tokens"],
        token_lengths=given["token_lengths"],
        spectrogram=given["mel"],
        frame_lengths=given["frame_lengths"],
        speakers=given["speakers"],
        segment_frames=SEGMENT,
    )
    assert output.alignment.durations.tolist() == numbers["durations"].tolist()
    expect(output.z_p, numbers["prior_latent"])
    expect(output.waveform, numbers["waveform"])
    expect(output.duration_loss, numbers["duration_loss"])
    kl = kl_loss(output.z_p, output.posterior, output.prior, output.frame_mask)
    expect(kl, numbers["kl"])


@pytest.mark.parametrize("case", CASES, indirect=True, ids="-".join)
def test_predicted_durations(
    case: tuple[Vits2, dict[str, np.ndarray]],
) -> None:
    model, numbers = case
    given = inputs()
    mask = sequence_mask(given["token_lengths"], 9)
    speaker = model.speaker(given["speakers"])
    hidden = model.encode_text(given["tokens"], mask, speaker).hidden
    torch.manual_seed(0)
    for shape in ((2, 8, FRAMES), (2, 2, 9), (2, 2, 9)):  # latents, the bound, and the sample
        noise = torch.randn(shape)
    log_durations = model.predict_durations(
        hidden, noise, mask, speaker, Vits2Controls(noise_scale_duration=1.0)
    )
    expect(log_durations, numbers["log_durations"])


@pytest.mark.parametrize("case", CASES, indirect=True, ids="-".join)
def test_synthesis_without_noise(case: tuple[Vits2, dict[str, np.ndarray]]) -> None:
    model, numbers = case
    given = inputs()
    latents = infer_latents(
        model,
        tokens=given["tokens"][:1],
        token_lengths=given["token_lengths"][:1],
        speakers=given["speakers"][:1],
        seeds=[0],
        controls=Vits2Controls(noise_scale=0, noise_scale_duration=0, length_scale=1.5),
    )
    expect(decode(model.decoder, latents), numbers["speech"])


@every_flow
def test_voice_conversion(kind: FlowKind, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(kind, "multi", "stochastic")
    torch.manual_seed(0)
    noise = torch.randn(1, 8, FRAMES)
    monkeypatch.setattr("allophone_vits.inference.normal_noise", lambda *_, **__: noise)
    latents = convert_latents(
        model,
        inputs()["mel"][:1],
        source=torch.tensor([2]),
        target=torch.tensor([0]),
        seed=0,
    )
    expect(decode(model.decoder, latents), golden[f"{kind}/converted"])


@pytest.mark.parametrize("kind", ["linear", "normed"])
def test_duration_discriminators(kind: Literal["linear", "normed"], golden: Golden) -> None:
    config = DurationDiscriminatorConfig(kind=kind, channels=12)
    model = DurationDiscriminator(config, text_channels=12)
    model.load_state_dict(
        {
            name: weight(reference_duration_discriminator_name(name), tuple(tensor.shape))
            for name, tensor in model.state_dict().items()
        }
    )
    given = inputs()
    mask = sequence_mask(given["token_lengths"], 9)
    output = model(given["hidden"], given["real"], given["predicted"], mask)
    for name, scores in (("found", output.real), ("predicted", output.predicted)):
        score = scores.squeeze(1)
        # The public implementation ends both kinds with a sigmoid, we only the "linear" one.
        probability = score if kind == "linear" else score.sigmoid()
        inside = mask.squeeze(1)
        expected = golden[f"duration_discriminator/{kind}/{name}"]
        expect(probability[inside], expected[inside.numpy()])
