"""Beginning with a VITS model: what is taken, what is made of the rest, and that all of it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_filters
from allophone.config.experiment import Experiment
from allophone.data.vocabulary import Vocabulary
from allophone.text.symbols import SymbolTable
from allophone.training.finetune import FineTuneReport, Source, take_weights
from allophone.weights import prefixed
from allophone_vits.config import (
    DecoderConfig,
    DiscriminatorConfig,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
)
from allophone_vits.model import Vits
from allophone_vits2.config import (
    FlowKind,
    Vits2Config,
    Vits2DurationConfig,
    Vits2FlowConfig,
    Vits2PosteriorEncoderConfig,
    Vits2TrainerConfig,
)
from allophone_vits2.objective import Vits2Objective

AUDIO = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=4000)
TEXT = TextEncoderConfig(hidden_channels=8, feed_forward_channels=8, layers=2)
DECODER = DecoderConfig(channels=16, upsample_rates=(4, 4), upsample_kernel_sizes=(8, 8))


def vocabulary_of(speakers: int) -> Vocabulary:
    names = tuple("xyz"[:speakers])
    return Vocabulary(symbols=SymbolTable.from_symbols("abcd"), speakers=names)


def source_model(duration: DurationConfig | None = None, *, speakers: int = 1) -> Vits:
    """A VITS model of which nothing is left as it begins."""
    torch.manual_seed(0)
    config = VitsConfig(
        latent_channels=8,
        text_encoder=TEXT,
        posterior_encoder=PosteriorEncoderConfig(hidden_channels=8, layers=1),
        flow=FlowConfig(hidden_channels=8, couplings=2, layers=1),
        duration=duration or DurationConfig(kind="deterministic", channels=12),
        decoder=DECODER,
    )
    model = Vits(config, vocabulary_size=4, speakers=speakers, audio=AUDIO)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model.eval()


def weights_of(model: Vits) -> dict[str, Tensor]:
    return prefixed(model.state_dict(), "generator")


def begun(
    weights: dict[str, Tensor],
    *,
    flow: FlowKind = "pre_conv2",
    duration: Vits2DurationConfig | None = None,
    speakers: int = 1,
) -> tuple[Vits2Objective, FineTuneReport]:
    """A VITS2 objective that has begun with some weights, and the report of it."""
    model = Vits2Config(
        latent_channels=8,
        text_encoder=TEXT,
        posterior_encoder=Vits2PosteriorEncoderConfig(hidden_channels=8, layers=1),
        flow=Vits2FlowConfig(kind=flow, hidden_channels=8, couplings=2, layers=1),
        duration=duration or Vits2DurationConfig(channels=12),
        decoder=DECODER,
    )
    trainer = Vits2TrainerConfig(
        segment_size=128,
        discriminator=DiscriminatorConfig(
            periods=(2,), scale_channels=(4, 4), period_channels=(4, 4)
        ),
    )
    vocabulary = vocabulary_of(speakers)
    objective = Vits2Objective(Experiment(model=model, trainer=trainer, audio=AUDIO), vocabulary)
    source = Source(path=Path("source"), weights=weights, vocabulary=vocabulary)
    report = take_weights(objective.modules, source, vocabulary, objective.adapt(weights))
    return objective, report


@pytest.mark.parametrize("flow", ["wavenet", "pre_conv2", "pre_conv", "mono_layer_inter_residual"])
@pytest.mark.parametrize("speakers", [1, 3])
def test_the_flow_and_the_text_encoder_go_on_as_they_were(flow: FlowKind, speakers: int) -> None:
    source = source_model(speakers=speakers)
    model = begun(weights_of(source), flow=flow, speakers=speakers)[0].generator.eval()
    ids = torch.arange(2)
    latent, tokens = torch.randn(2, 8, 12), torch.randint(0, 4, (2, 5))
    torch.testing.assert_close(
        model.flow(latent, None, model.speaker(ids)), source.flow(latent, None, source.speaker(ids))
    )
    torch.testing.assert_close(
        model.encode_text(tokens, None, model.speaker(ids)).hidden,
        source.encode_text(tokens, None, source.speaker(ids)).hidden,
    )


def test_what_is_silent_at_first_learns() -> None:
    model = begun(weights_of(source_model(speakers=3)), speakers=3)[0].generator
    latent, speaker = torch.randn(2, 8, 12), model.speaker(torch.arange(2))
    model.flow(latent, None, speaker).square().sum().backward()
    norm = model.flow.get_parameter("couplings.0.transformer.feed_forward_norm.weight")
    assert norm.grad is not None
    assert norm.grad.any()


def test_mel_bands_are_read_as_the_bins_that_they_span() -> None:
    weights = weights_of(source_model())
    model = begun(weights)[0].generator
    there = weights["generator.posterior_encoder.input.weight"].squeeze(2)
    here = model.posterior_encoder.input.weight.squeeze(2)
    filters = mel_filters(AUDIO)
    spanned = filters.T @ torch.rand(AUDIO.n_mels, 5)
    torch.testing.assert_close(here @ (filters @ spanned), there @ spanned, rtol=1e-4, atol=1e-4)


def test_every_tensor_is_accounted_for() -> None:
    weights = weights_of(source_model(speakers=3)) | {"discriminator.odd": torch.ones(1)}
    objective, report = begun(weights, speakers=3)
    model = {
        name
        for module, part in objective.modules.items()
        for name in prefixed(part.state_dict(), module)
    }
    shares = [set(report.taken), set(report.adapted), set(report.grown), set(report.new)]
    assert sum(map(len, shares)) == len(set.union(*shares))
    misshapen = report.skipped.keys() & model
    assert set.union(*shares) | misshapen == model
    assert weights.keys() <= {*report.taken, *report.adapted, *report.grown, *report.skipped}
    assert report.skipped == {"discriminator.odd": "not in the model"}
    assert "generator.duration_predictor.noise.weight" in report.new
    assert "generator.flow.couplings.1.wavenet.gates.0.bias" in report.taken
    assert report.adapted["generator.posterior_encoder.input.weight"].startswith("from frequency")


@pytest.mark.parametrize("kind", ["stochastic", "regression"])
def test_one_predictor_becomes_one_of_two(kind: str) -> None:
    source = (
        DurationConfig(kind="stochastic", channels=12)
        if kind == "stochastic"
        else DurationConfig(kind="deterministic", channels=12)
    )
    weights = weights_of(source_model(source))
    duration = Vits2DurationConfig(kind="mixed", channels=12, stochastic_channels=12)
    objective, report = begun(weights, duration=duration)
    state = objective.generator.state_dict()
    given = [name for name in weights if ".duration_predictor." in name]
    assert given
    for name in given:
        rest = name.removeprefix("generator.duration_predictor.")
        ours = f"duration_predictor.{kind}.{rest}"
        assert torch.equal(state[ours], weights[name])
        assert f"generator.{ours}" in report.adapted
    assert not any(name in report.skipped for name in given)


def test_a_voice_without_its_posterior_encoder() -> None:
    weights = weights_of(source_model())
    speaking = {name: weights[name] for name in weights if "posterior_encoder" not in name}
    _, report = begun(speaking)
    assert "generator.posterior_encoder.input.weight" in report.new
    assert "generator.posterior_encoder.wavenet.gates.0.bias" in report.new
    assert not any("posterior" in name for name in report.adapted)


def test_a_model_of_its_own_is_taken_as_it_is() -> None:
    objective, _ = begun(weights_of(source_model()))
    state = {
        name: tensor.clone()
        for module, part in objective.modules.items()
        for name, tensor in prefixed(part.state_dict(), module).items()
    }
    _, report = begun(state)
    assert set(report.taken) == state.keys()
    assert not report.adapted
