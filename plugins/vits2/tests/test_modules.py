"""Properties of VITS2 that the public implementation lacks or gets wrong."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import pytest
import torch
from attrs import evolve

from allophone.errors import ConfigError
from allophone_vits.config import DurationConfig
from allophone_vits.durations import DeterministicDurationPredictor
from allophone_vits.gaussian import Gaussian, prior_log_likelihood
from allophone_vits.layers import sequence_mask
from allophone_vits.model import align
from allophone_vits2.alignment import NoisySearch, standard_deviation
from allophone_vits2.config import (
    AlignmentNoiseConfig,
    DurationDiscriminatorConfig,
    FlowKind,
    Vits2Config,
    Vits2DurationConfig,
    Vits2FlowConfig,
)
from allophone_vits2.duration_discriminator import (
    DurationDiscriminator,
    duration_adversarial_loss,
    duration_discriminator_loss,
)
from allophone_vits2.durations import (
    MixedDurationPredictor,
    NoisyDurationPredictor,
    build_duration_predictor,
)
from allophone_vits2.flow import Vits2Flow

CHANNELS, SPEAKER, FRAMES = 8, 5, 12
every_flow = pytest.mark.parametrize("kind", get_args(FlowKind))


def flow_of(kind: FlowKind) -> Vits2Flow:
    """A flow with randomized weights, so that it is not the identity."""
    torch.manual_seed(0)
    config = Vits2FlowConfig(
        kind=kind, hidden_channels=12, couplings=3, layers=2, feed_forward_channels=16
    )
    flow = Vits2Flow(config, channels=CHANNELS, speaker_channels=SPEAKER).eval()
    for parameter in flow.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return flow


@every_flow
def test_flow_inverse(kind: FlowKind) -> None:
    flow = flow_of(kind)
    mask = sequence_mask(torch.tensor([FRAMES, 7]), FRAMES)
    speaker = torch.randn(2, SPEAKER, 1)
    latent = torch.randn(2, CHANNELS, FRAMES) * mask
    z_p = flow(latent, mask, speaker)
    assert (z_p - latent).abs().max() > 0.1
    restored = flow.inverse(z_p, mask, speaker)
    torch.testing.assert_close(restored, latent, rtol=1e-5, atol=1e-5)


@every_flow
def test_log_determinant_matches_the_jacobian(kind: FlowKind) -> None:
    flow = flow_of(kind).double()
    speaker = torch.randn(1, SPEAKER, 1, dtype=torch.float64)
    latent = torch.randn(1, CHANNELS, 5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda z: flow(z, None, speaker), latent)
    size = CHANNELS * 5
    sign, log_determinant = torch.linalg.slogdet(jacobian.reshape(size, size))
    assert abs(float(sign)) == 1
    assert float(log_determinant) == pytest.approx(5 * flow.log_determinant, abs=1e-8)
    expected = 3 * CHANNELS * math.log(2) if kind == "mono_layer_post_residual" else 0
    assert flow.log_determinant == pytest.approx(expected)


@every_flow
def test_padding_has_no_effect_on_the_flow(kind: FlowKind) -> None:
    flow = flow_of(kind)
    latent = torch.randn(1, CHANNELS, 7)
    speaker = torch.randn(1, SPEAKER, 1)
    alone = flow(latent, None, speaker)
    padded = torch.nn.functional.pad(latent, (0, 5))
    mask = sequence_mask(torch.tensor([7]), FRAMES)
    z_p = flow(padded, mask, speaker)
    torch.testing.assert_close(z_p[:, :, :7], alone, rtol=1e-5, atol=1e-5)
    assert not z_p[:, :, 7:].any()
    restored = flow.inverse(z_p, mask, speaker)
    torch.testing.assert_close(restored, padded, rtol=1e-5, atol=1e-5)


@every_flow
def test_an_untrained_flow_is_the_identity_up_to_scale(kind: FlowKind) -> None:
    config = Vits2FlowConfig(kind=kind, hidden_channels=12, couplings=2, layers=1)
    flow = Vits2Flow(config, channels=CHANNELS).eval()
    latent = torch.randn(2, CHANNELS, FRAMES)
    scale = 4 if kind == "mono_layer_post_residual" else 1
    torch.testing.assert_close(flow(latent, None), scale * latent)


def test_the_causal_flow_ignores_future_frames() -> None:
    flow = flow_of("fft")
    latent, speaker = torch.randn(1, CHANNELS, FRAMES), torch.randn(1, SPEAKER, 1)
    other = latent.clone()
    other[:, :, 6:] += 1
    torch.testing.assert_close(
        flow(latent, None, speaker)[:, :, :6], flow(other, None, speaker)[:, :, :6]
    )


@pytest.mark.parametrize("kind", ["pre_conv", "mono_layer_inter_residual"])
def test_latent_channels_must_be_divisible_by_the_heads(kind: FlowKind) -> None:
    with pytest.raises(ConfigError, match="latent_channels"):
        Vits2Config(latent_channels=6, flow=Vits2FlowConfig(kind=kind))


def test_hidden_channels_must_be_divisible_by_the_heads() -> None:
    with pytest.raises(ConfigError, match="4 heads"):
        Vits2FlowConfig(kind="fft", hidden_channels=6)


@pytest.mark.parametrize("kind", ["normed", "linear"])
def test_duration_losses_do_not_depend_on_batching(kind: Literal["normed", "linear"]) -> None:
    config = DurationDiscriminatorConfig(kind=kind, channels=6)
    model = DurationDiscriminator(config, text_channels=4).eval()
    hidden, real, predicted = (torch.randn(1, channels, 7) for channels in (4, 1, 1))
    mask = torch.ones(1, 1, 7, dtype=torch.bool)
    alone = model(hidden, real, predicted, mask)

    def widened(values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(values, (0, 4), value=3.0).expand(8, -1, -1)

    wide_mask = sequence_mask(torch.full((8,), 7), 11)
    batch = model(widened(hidden), widened(real), widened(predicted), wide_mask)
    for loss in (duration_discriminator_loss, duration_adversarial_loss):
        torch.testing.assert_close(loss(batch), loss(alone))


def test_duration_adversarial_loss_has_no_gradient_for_text_or_speaker() -> None:
    config = DurationDiscriminatorConfig(channels=6, speaker=True)
    model = DurationDiscriminator(config, text_channels=4, speaker_channels=3)
    hidden, real, predicted = (
        torch.randn(2, channels, 7, requires_grad=True) for channels in (4, 1, 1)
    )
    speaker = torch.randn(2, 3, 1, requires_grad=True)
    mask = torch.ones(2, 1, 7, dtype=torch.bool)
    duration_adversarial_loss(model(hidden, real, predicted, mask, speaker)).backward()
    assert predicted.grad is not None
    assert predicted.grad.any()
    assert hidden.grad is None
    assert speaker.grad is None


class TestDurationPredictors:
    def test_the_regression_uses_noise_once_its_projection_is_nonzero(self) -> None:
        config = Vits2DurationConfig(channels=8, noise_channels=3)
        predictor = NoisyDurationPredictor(config, text_channels=4).eval()
        hidden, noise = torch.randn(2, 4, 6), torch.randn(2, 3, 6)
        noiseless = predictor.log_durations(hidden, torch.zeros_like(noise), None)
        torch.testing.assert_close(predictor.log_durations(hidden, noise, None), noiseless)
        assert predictor.noise is not None
        torch.nn.init.ones_(predictor.noise.weight)
        assert (predictor.log_durations(hidden, noise, None) - noiseless).abs().max() > 1e-3

    def test_the_regression_loads_weights_of_vits(self) -> None:
        config = Vits2DurationConfig(channels=8, noise_channels=3)
        ours = NoisyDurationPredictor(config, text_channels=4).eval()
        vits = DeterministicDurationPredictor(
            DurationConfig(kind="deterministic", channels=8), text_channels=4
        ).eval()
        missing, unexpected = ours.load_state_dict(vits.state_dict(), strict=False)
        assert (missing, unexpected) == (["noise.weight"], [])
        hidden = torch.randn(2, 4, 6)
        torch.testing.assert_close(
            ours.log_durations(hidden, torch.randn(2, 3, 6), None),
            vits.log_durations(hidden, torch.randn(2, 0, 6), None),
        )

    def test_stochastic_share_interpolates(self) -> None:
        config = Vits2DurationConfig(
            kind="mixed", channels=8, stochastic_channels=8, noise_channels=3
        )
        predictor = build_duration_predictor(config, text_channels=4).eval()
        assert isinstance(predictor, MixedDurationPredictor)
        for parameter in predictor.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        hidden, noise = torch.randn(2, 4, 6), torch.randn(2, 5, 6)
        mask = sequence_mask(torch.tensor([6, 4]), 6)
        predictions = [
            predictor.log_durations(hidden, noise, mask, stochastic_share=share)
            for share in (0.0, 0.25, 1.0)
        ]
        regressed = predictor.regression.log_durations(hidden, noise[:, 2:], mask)
        sampled = predictor.stochastic.log_durations(hidden, noise[:, :2], mask)
        torch.testing.assert_close(predictions[0], regressed)
        torch.testing.assert_close(predictions[2], sampled)
        torch.testing.assert_close(predictions[1], 0.75 * regressed + 0.25 * sampled)

    @pytest.mark.parametrize("kind", ["convolutional", "stochastic", "mixed"])
    def test_predictions_have_gradients_but_not_for_the_text(
        self, kind: Literal["convolutional", "stochastic", "mixed"]
    ) -> None:
        config = Vits2DurationConfig(kind=kind, channels=8, stochastic_channels=8, noise_channels=3)
        predictor = build_duration_predictor(config, text_channels=4)
        hidden = torch.randn(2, 4, 6, requires_grad=True)
        noise = torch.randn(2, predictor.noise_channels, 6)
        mask = torch.ones(2, 1, 6, dtype=torch.bool)
        durations = torch.randint(1, 9, (2, 1, 6))
        prediction = predictor.forward_train(hidden, durations, noise, mask)
        (prediction.loss.sum() + prediction.log_durations.sum()).backward()
        assert hidden.grad is None
        assert all(parameter.grad is not None for parameter in predictor.parameters())


class TestAlignmentNoise:
    LENGTHS = (torch.tensor([30, 19]), torch.tensor([9, 5]))

    def latents(self) -> tuple[torch.Tensor, Gaussian]:
        generator = torch.Generator().manual_seed(0)
        latent, mean, log_scale = (
            torch.randn(2, 4, size, generator=generator) for size in (30, 9, 9)
        )
        return latent, Gaussian(mean=mean, log_scale=0.1 * log_scale)

    def test_standard_deviation_ignores_padding(self) -> None:
        latent, prior = self.latents()
        scores = prior_log_likelihood(latent, prior)
        deviations = standard_deviation(scores, *self.LENGTHS)
        for row, (frames, tokens) in enumerate(zip(*self.LENGTHS, strict=True)):
            expected = scores[row, :frames, :tokens].std()
            torch.testing.assert_close(deviations[row], expected)

    def test_only_a_noisy_search_deviates_from_the_best_path(self) -> None:
        latent, prior = self.latents()
        best = align(latent, prior, *self.LENGTHS)
        torch.manual_seed(0)
        assert torch.equal(
            NoisySearch(scale=0.0)(latent, prior, *self.LENGTHS).durations, best.durations
        )
        noisy = NoisySearch(scale=3.0)(latent, prior, *self.LENGTHS)
        assert not torch.equal(noisy.durations, best.durations)
        assert torch.equal(noisy.durations.sum(1), self.LENGTHS[0])

    def test_noise_decays_to_zero(self) -> None:
        config = AlignmentNoiseConfig()
        np.testing.assert_allclose(
            [config.at(step) for step in (0, 2500, 5000, 9000)], [0.01, 0.005, 0, 0], atol=1e-12
        )
        assert evolve(config, initial=0.0).at(0) == 0
