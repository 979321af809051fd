"""Padding, chunks, exported frames, configs, losses and discriminators."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from attrs import evolve, field, frozen
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError
from allophone_vocos import inverse_stft
from allophone_vocos.config import (
    DiscriminatorsConfig,
    SpectralLossConfig,
    VocosConfig,
    VocosTrainerConfig,
)
from allophone_vocos.discriminators import Discriminators, MagnitudeDiscriminator
from allophone_vocos.inverse_stft import InverseStft
from allophone_vocos.learning import WaveformLearning
from allophone_vocos.network import Vocos
from allophone_vocos.spectral import SpectralLoss

SMALL = VocosConfig(channels=16, feed_forward_channels=32, blocks=2)


def network(*, speaker_channels: int = 0) -> Vocos:
    torch.manual_seed(0)
    found = Vocos(SMALL, in_channels=6, hop_length=256, speaker_channels=speaker_channels).eval()
    for parameter in found.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return found.requires_grad_(False)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: VocosConfig(kernel_size=6), "odd and positive, got 6"),
        (lambda: VocosConfig(n_fft=1000).check_audio(MelSpec()), "such as 1024"),
        (lambda: SpectralLossConfig(sizes=(510,)), "multiples of 4"),
        (lambda: SpectralLossConfig(per_step=4), "more than the 3 sizes"),
        (lambda: DiscriminatorsConfig(periods=(), stft_sizes=()), "is empty"),
        (lambda: DiscriminatorsConfig(stft_sizes=(130,)), "stft_sizes must be multiples of 4"),
        (lambda: DiscriminatorsConfig(magnitude_sizes=(8,)), "magnitude_sizes must be multiples"),
    ],
)
def test_invalid_values_are_errors(build, complaint) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build()


def test_a_window_of_odd_hops_is_refused() -> None:
    with pytest.raises(ValueError, match="even number of hops"):
        InverseStft(768, 256)


def test_padding_does_not_change_an_utterance() -> None:
    model = network(speaker_channels=3)
    features, speakers = torch.randn(2, 6, 25), torch.randn(2, 3, 1)
    lengths = torch.tensor([25, 11])
    mask = (torch.arange(25) < lengths[:, None]).unsqueeze(1)
    batch = model(features, mask, speakers)
    assert not batch[1, 11 * 256 :].any()
    for row, length in enumerate(lengths.tolist()):
        alone = model(features[row : row + 1, :, :length], None, speakers[row : row + 1])
        torch.testing.assert_close(batch[row, : length * 256], alone[0], rtol=0, atol=1e-5)


def test_the_speaker_changes_the_waveform() -> None:
    model = network(speaker_channels=3)
    features = torch.randn(1, 6, 9)
    first, second = (model(features, None, torch.full((1, 3, 1), value)) for value in (0.0, 1.0))
    assert not torch.allclose(first, second)


def test_the_margin_is_the_context_that_a_frame_needs() -> None:
    model = network()
    features = torch.randn(1, 6, 60)
    whole = model(features)
    middle, margin = 30, model.margin
    part = model(features[:, :, middle - margin : middle + 1 + margin])
    expected = whole[:, middle * 256 : (middle + 1) * 256]
    found = part[:, margin * 256 : (margin + 1) * 256]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    changed = features.clone()
    changed[:, :, middle - margin] += 1
    moved = model(changed)[:, middle * 256 : (middle + 1) * 256]
    assert not torch.equal(moved, expected)
    changed = features.clone()
    changed[:, :, middle - margin - 1] += 1
    assert torch.equal(model(changed)[:, middle * 256 : (middle + 1) * 256], expected)


def test_exported_frames_equal_real_ffts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    inverse = InverseStft(1024, 256)
    real, imaginary = torch.randn(2, 9, 513), torch.randn(2, 9, 513)
    expected = inverse(real, imaginary)
    monkeypatch.setattr(inverse_stft.torch.compiler, "is_exporting", lambda: True)
    monkeypatch.setattr(inverse_stft.torch.fft, "irfft", lambda *_, **__: pytest.fail("an FFT"))
    torch.testing.assert_close(inverse(real, imaginary), expected, rtol=0, atol=1e-5)


def test_bfloat16_is_close_to_float32() -> None:
    model = network()
    features = torch.randn(1, 6, 20)
    whole = model(features)
    half = model.bfloat16()(features)
    assert half.dtype == torch.float32
    assert (half - whole).square().mean() < 0.05 * whole.square().mean()


def test_spectral_losses_are_zero_for_equal_waveforms_and_grow_with_noise() -> None:
    torch.manual_seed(0)
    loss = SpectralLoss(SpectralLossConfig(), sample_rate=22050)
    real = torch.randn(2, 8192) * 0.1
    same = loss(real, real)
    assert same.mel == same.stft == 0
    little, much = (loss(real + scale * torch.randn_like(real), real) for scale in (0.01, 0.1))
    assert 0 < little.mel < much.mel
    assert 0 < little.stft < much.stft


def test_the_phase_distance_tells_waveforms_of_equal_magnitudes_apart() -> None:
    torch.manual_seed(0)
    config = evolve(SpectralLossConfig(), phase_weight=1.0)
    loss = SpectralLoss(config, sample_rate=22050)
    real = torch.randn(1, 8192) * 0.1
    inverted = loss(-real, real)
    assert inverted.mel == inverted.stft == 0
    assert inverted.phase is not None
    assert inverted.phase > 0.1
    assert loss.weighted(inverted) == inverted.phase
    assert loss(real, real).phase == 0
    assert SpectralLoss(SpectralLossConfig(), sample_rate=22050)(-real, real).phase is None


def test_gradients_of_silence_are_finite() -> None:
    loss = SpectralLoss(SpectralLossConfig(), sample_rate=22050)
    silent = torch.zeros(1, 8192, requires_grad=True)
    loss.weighted(loss(silent, torch.zeros(1, 8192))).backward()
    outputs = Discriminators(DiscriminatorsConfig(magnitude_sizes=(256,)))(silent)
    torch.stack([output.score.mean() for output in outputs]).sum().backward()
    assert silent.grad is not None
    assert silent.grad.isfinite().all()


def test_the_phase_distance_does_not_reward_silence() -> None:
    torch.manual_seed(0)
    loss = SpectralLoss(evolve(SpectralLossConfig(), phase_weight=1.0), sample_rate=22050)
    real, other = torch.randn(2, 1, 8192) * 0.1
    loud, quiet = (loss(scale * other, real).phase for scale in (1.0, 0.1))
    assert loud is not None
    assert quiet is not None
    torch.testing.assert_close(loud, quiet, rtol=0.01, atol=0)
    assert loss(0.1 * real, real).phase < 0.01 * loud


def test_a_step_draws_some_of_the_sizes() -> None:
    config = evolve(SpectralLossConfig(), per_step=2)
    loss = SpectralLoss(config, sample_rate=22050)
    drawn = {tuple(sorted(loss.drawn_sizes())) for _ in range(40)}
    assert drawn == {(512, 1024), (512, 2048), (1024, 2048)}


def test_each_discriminator_judges() -> None:
    config = DiscriminatorsConfig(magnitude_sizes=(512, 256))
    outputs = Discriminators(config)(torch.randn(2, 8192))
    assert len(outputs) == len(config.periods) + len(config.stft_sizes) + 2
    assert all(output.score.shape[0] == 2 and len(output.features) > 3 for output in outputs)


def test_a_discriminator_of_magnitudes_hears_no_phases() -> None:
    torch.manual_seed(0)
    judge = MagnitudeDiscriminator(256, channels=8)
    speech = 0.1 * torch.randn(1, 8192)
    torch.testing.assert_close(judge(-speech).score, judge(speech).score)
    assert judge(speech).score.shape == (1, 1, 8192 // 64 + 1)
    assert not torch.allclose(judge(speech / 2).score, judge(speech).score, atol=1e-3)


def test_a_discriminator_of_magnitudes_does_not_hear_how_samples_were_rounded() -> None:
    torch.manual_seed(0)
    judge = MagnitudeDiscriminator(1024, channels=8)
    tone = 0.1 * (torch.arange(8192) * 0.05).sin()[None]
    rounded = (tone * 32768).round() / 32768
    torch.testing.assert_close(judge(rounded).score, judge(tone).score, atol=1e-4, rtol=0)


@frozen
class StandIn:
    """A runtime at a step, which notes the losses that modules are updated with."""

    step: int
    modules: dict[str, Any]
    losses: dict[str, Tensor] = field(factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.modules[name]

    def autocast(self) -> Any:
        return nullcontext()

    def frozen(self, *modules: str) -> Any:
        return nullcontext()

    def update(self, name: str, loss: Tensor) -> None:
        self.losses[name] = loss


def test_discriminators_learn_alone_before_the_generator_heeds_them() -> None:
    config = VocosTrainerConfig(
        adversarial_from=10,
        discriminators_lead=5,
        spectral=SpectralLossConfig(sizes=(256,), per_step=1),
        discriminators=DiscriminatorsConfig(
            periods=(2,), period_channels=(4, 4), stft_sizes=(), spectral_channels=2
        ),
    )
    learning = WaveformLearning(config, sample_rate=22050)
    torch.manual_seed(0)
    judges, real, made = learning.discriminators(), torch.randn(1, 2048), torch.randn(1, 2048)
    for step, updated, adversarial in [
        (9, {"generator"}, False),
        (10, {"generator", "discriminator"}, False),
        (14, {"generator", "discriminator"}, False),
        (15, {"generator", "discriminator"}, True),
    ]:
        runtime = StandIn(step, {"discriminator": judges})
        metrics = learning.update(runtime, real, made)
        assert runtime.losses.keys() == updated, step
        assert ("adversarial_loss" in metrics) == adversarial, step
        spectral = learning.spectral.weighted(learning.spectral(made, real))
        assert (runtime.losses["generator"] > spectral + 0.1) == adversarial, step
