"""The model matches the reference implementation numerically.

data/reference.npz was computed with the public reference implementation (jaywalnut310/vits) in float32 on
a CPU, with the sizes in `SIZES`, the inputs of `inputs`, dropout off and PyTorch's global generator seeded
with 0 before every call. Its compiled alignment search was replaced by the textbook recursion. Weights are
not stored; each is generated from its name in the reference.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_from_linear, mel_spectrogram
from allophone.training.adversarial import (
    adversarial_loss,
    discriminate,
    discriminator_loss,
    feature_matching_loss,
)
from allophone_hifigan.config import HifiganConfig
from allophone_testing.parity import Golden, golden_fixture, weight
from allophone_vits.config import (
    DiscriminatorConfig,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
    VitsControls,
)
from allophone_vits.discriminator import Discriminator
from allophone_vits.gaussian import kl_loss
from allophone_vits.importers.names import reference_discriminator_name, reference_generator_name
from allophone_vits.inference import convert_latents, decode, infer_latents
from allophone_vits.layers import sequence_mask
from allophone_vits.model import Vits

golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}
AUDIO = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=4000)
VOCABULARY = 20
SEGMENT = 8

_SINGLE = VitsConfig(
    latent_channels=8,
    speaker_channels=6,
    text_encoder=TextEncoderConfig(hidden_channels=12, feed_forward_channels=24, layers=2),
    posterior_encoder=PosteriorEncoderConfig(hidden_channels=12),
    flow=FlowConfig(hidden_channels=12),
    duration=DurationConfig(channels=12),
    decoder=HifiganConfig(channels=16, upsample_rates=(4, 4), upsample_kernel_sizes=(8, 8)),
)
SIZES = {
    "single": (_SINGLE, 0),
    "multi": (
        evolve(
            _SINGLE,
            duration=DurationConfig(kind="deterministic", channels=256),
            decoder=evolve(
                _SINGLE.decoder,
                residual_block="2",
                residual_kernel_sizes=(3, 5),
                residual_dilations=((1, 2), (2, 6)),
            ),
        ),
        3,
    ),
    "multi-stochastic": (_SINGLE, 3),
}


def inputs() -> dict[str, torch.Tensor]:
    draw = np.random.RandomState(1)
    return {
        "tokens": torch.from_numpy(draw.randint(0, VOCABULARY, (2, 9))),
        "token_lengths": torch.tensor([9, 6]),
        "spectrogram": torch.from_numpy(draw.rand(2, 33, 30).astype(np.float32)),
        "frame_lengths": torch.tensor([30, 21]),
        "speakers": torch.tensor([2, 1]),
        "real": torch.from_numpy(draw.uniform(-1, 1, (2, 512)).astype(np.float32)),
        "generated": torch.from_numpy(draw.uniform(-1, 1, (2, 512)).astype(np.float32)),
    }


@pytest.fixture(params=list(SIZES))
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(size: str) -> Vits:
    return _model_of(size)


def _model_of(size: str) -> Vits:
    config, speakers = SIZES[size]
    model = Vits(config, vocabulary_size=VOCABULARY, speakers=speakers, audio=AUDIO)
    model.load_state_dict(
        {
            name: weight(
                reference_generator_name(
                    name,
                    blocks=len(config.decoder.residual_kernel_sizes),
                    paired=config.decoder.residual_block == "1",
                ),
                tuple(tensor.shape),
            )
            for name, tensor in model.state_dict().items()
        }
    )
    return model.eval()


def expect(ours: torch.Tensor, golden: Golden, *name: str) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), golden["/".join(name)], **TOLERANCE)


def test_training_pass(model: Vits, size: str, golden: Golden) -> None:
    given = inputs()
    torch.manual_seed(0)
    output = model(
        tokens=given["tokens"],
        token_lengths=given["token_lengths"],
        spectrogram=given["spectrogram"],
        frame_lengths=given["frame_lengths"],
        speakers=given["speakers"],
        segment_frames=SEGMENT,
    )
    mask = output.frame_mask
    assert output.segment_starts.tolist() == golden[f"{size}/segment_starts"].tolist()
    assert output.alignment.durations.tolist() == golden[f"{size}/durations"].tolist()
    expect(output.waveform, golden, size, "waveform")
    expect(output.posterior.mean, golden, size, "posterior_mean")
    expect(output.posterior.log_scale, golden, size, "posterior_log_scale")
    expect(output.prior.mean * mask, golden, size, "prior_mean")
    expect(output.prior.log_scale * mask, golden, size, "prior_log_scale")
    expect(output.z_p, golden, size, "prior_latent")
    expect(output.duration_loss, golden, size, "duration_loss")
    kl = kl_loss(output.z_p, output.posterior, output.prior, mask)
    expect(kl, golden, size, "kl")


def test_flow_inverse(model: Vits) -> None:
    given = inputs()
    mask = sequence_mask(given["frame_lengths"], 30)
    latent = torch.randn(2, 8, 30) * mask
    speaker = model.speaker(given["speakers"])
    restored = model.flow.inverse(model.flow(latent, mask, speaker), mask, speaker)
    torch.testing.assert_close(restored, latent, rtol=0, atol=2e-5)


def test_duration_predictor(model: Vits, size: str, golden: Golden) -> None:
    given = inputs()
    mask = sequence_mask(given["token_lengths"], 9)
    hidden = model.text_encoder(given["tokens"], mask).hidden
    expect(hidden, golden, size, "hidden")
    torch.manual_seed(0)
    noise = torch.randn(2, 2, 9) * 0.8
    log_durations = model.duration_predictor.log_durations(
        hidden, noise, mask, model.speaker(given["speakers"])
    )
    expect(log_durations, golden, size, "log_durations")


def test_synthesis_without_noise(model: Vits, size: str, golden: Golden) -> None:
    given = inputs()
    latents = infer_latents(
        model,
        tokens=given["tokens"][:1],
        token_lengths=given["token_lengths"][:1],
        speakers=given["speakers"][:1],
        seeds=[0],
        controls=VitsControls(noise_scale=0, noise_scale_duration=0, length_scale=1.5),
    )
    assert latents.values.size(2) == int(latents.lengths)
    expect(decode(model.decoder, latents)[0], golden, size, "speech")


def test_voice_conversion(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model_of("multi")
    given = inputs()
    torch.manual_seed(0)
    noise = torch.randn(1, 8, 30)
    monkeypatch.setattr("allophone_vits.inference.normal_noise", lambda *_, **__: noise)
    latents = convert_latents(
        model,
        given["spectrogram"][:1],
        source=torch.tensor([2]),
        target=torch.tensor([0]),
        seed=0,
    )
    expect(decode(model.decoder, latents)[0], golden, "multi", "converted")


def test_discriminators_and_losses(golden: Golden) -> None:
    model = Discriminator(DiscriminatorConfig())
    model.load_state_dict(
        {
            name: weight(reference_discriminator_name(name), tuple(tensor.shape))
            for name, tensor in model.state_dict().items()
        }
    )
    given = inputs()
    with torch.no_grad():
        real, generated = discriminate(model, given["real"], given["generated"])
    for index, output in enumerate(generated):
        expect(output.score.flatten(1), golden, "discriminator", f"score{index}")
        means = torch.stack([feature.abs().mean() for feature in output.features])
        expect(means, golden, "discriminator", f"features{index}")
    expect(discriminator_loss(real, generated), golden, "discriminator", "loss")
    expect(adversarial_loss(generated), golden, "discriminator", "adversarial_loss")
    expect(2 * feature_matching_loss(real, generated), golden, "discriminator", "feature_loss")


def test_mel_spectrogram(golden: Golden) -> None:
    given = inputs()
    expect(mel_spectrogram(given["real"], AUDIO), golden, "mel", "of_waveform")
    expect(mel_from_linear(given["spectrogram"], AUDIO), golden, "mel", "of_linear")
