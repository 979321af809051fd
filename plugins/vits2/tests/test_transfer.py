"""Fine-tuning from a VITS model: conversion of the weights, and the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from attrs import evolve
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import (
    frame_lengths,
    linear_spectrogram,
    mel_filters,
    mel_from_linear,
)
from allophone.config.experiment import Experiment
from allophone.data.batch import Batch, Padded
from allophone.data.vocabulary import Vocabulary
from allophone.text.symbols import SymbolTable
from allophone.training.finetune import FineTuneReport, Source, transfer_weights
from allophone.weights.files import add_prefix
from allophone_hifigan.config import HifiganConfig
from allophone_vits.config import (
    DiscriminatorConfig,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
)
from allophone_vits.layers import sequence_mask
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
from allophone_vits2.transfer import bins_from_bands

AUDIO = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=4000)
TEXT = TextEncoderConfig(hidden_channels=8, feed_forward_channels=8, layers=2)
DECODER = HifiganConfig(channels=16, upsample_rates=(4, 4), upsample_kernel_sizes=(8, 8))


def vocabulary_of(speakers: int) -> Vocabulary:
    names = tuple("xyz"[:speakers])
    return Vocabulary(symbols=SymbolTable.from_symbols("abcd"), speakers=names)


def source_model(duration: DurationConfig | None = None, *, speakers: int = 1) -> Vits:
    """A VITS model with randomized weights."""
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
    return add_prefix(model.state_dict(), "generator")


def recordings() -> Batch:
    """Two recordings in which some frames are much louder than others."""
    generator = torch.Generator().manual_seed(0)
    waveform = torch.randn(2, 640, generator=generator)
    waveform *= torch.exp(2 * torch.sin(torch.arange(640) / 40)) * 0.05
    waveform[1, 480:] = 0
    zeros = torch.zeros(2, dtype=torch.long)
    padded = Padded(values=waveform, lengths=torch.tensor([640, 480]))
    return Batch(
        ids=("a", "b"),
        features={"waveform": padded},
        speakers=zeros,
        languages=zeros,
        audio_seconds=1.0,
    )


def finetuned(
    weights: dict[str, Tensor],
    *,
    flow: FlowKind = "pre_conv2",
    duration: Vits2DurationConfig | None = None,
    speakers: int = 1,
) -> tuple[Vits2Objective, FineTuneReport]:
    """A VITS2 objective initialized from `weights`, and the report."""
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
    report = transfer_weights(
        objective.modules, source, vocabulary, objective.adapt(weights, [recordings()])
    )
    return objective, report


@pytest.mark.parametrize("flow", ["wavenet", "pre_conv2", "pre_conv", "mono_layer_inter_residual"])
@pytest.mark.parametrize("speakers", [1, 3])
def test_flow_and_text_encoder_are_unchanged_at_first(flow: FlowKind, speakers: int) -> None:
    source = source_model(speakers=speakers)
    model = finetuned(weights_of(source), flow=flow, speakers=speakers)[0].generator.eval()
    ids = torch.arange(2)
    latent, tokens = torch.randn(2, 8, 12), torch.randint(0, 4, (2, 5))
    torch.testing.assert_close(
        model.flow(latent, None, model.speaker(ids)), source.flow(latent, None, source.speaker(ids))
    )
    torch.testing.assert_close(
        model.encode_text(tokens, None, model.speaker(ids)).hidden,
        source.encode_text(tokens, None, source.speaker(ids)).hidden,
    )


def test_zeroed_layers_have_gradients() -> None:
    model = finetuned(weights_of(source_model(speakers=3)), speakers=3)[0].generator
    latent, speaker = torch.randn(2, 8, 12), model.speaker(torch.arange(2))
    model.flow(latent, None, speaker).square().sum().backward()
    norm = model.flow.get_parameter("couplings.0.transformer.feed_forward_norm.weight")
    assert norm.grad is not None
    assert norm.grad.any()


def test_the_converted_input_layer_approximates_the_source() -> None:
    source = source_model()
    model = finetuned(weights_of(source))[0].generator
    waveform = recordings()["waveform"]
    mask = sequence_mask(frame_lengths(waveform.lengths, AUDIO), 40)
    theirs, ours = (
        each.posterior_encoder.input(
            each.spectrogram.from_waveform(waveform.values, AUDIO, lengths=waveform.lengths)
        ).masked_select(mask)
        for each in (source, model)
    )
    assert (ours - theirs).var() < 0.4 * theirs.var()
    assert float((ours - theirs).detach().mean()) == pytest.approx(0, abs=0.01)


def test_linear_mel_bands_use_the_plain_pseudo_inverse() -> None:
    audio = evolve(AUDIO, log_base="none")
    found = bins_from_bands([recordings()["waveform"]], audio)
    inverse = torch.linalg.pinv(mel_filters(audio).double())
    torch.testing.assert_close(found.slope, inverse)
    torch.testing.assert_close(found.offset, torch.zeros_like(found.offset), atol=1e-6, rtol=0)


def test_mean_band_energies_are_preserved() -> None:
    waveform = recordings()["waveform"]
    found = bins_from_bands([waveform], AUDIO)
    linear = linear_spectrogram(waveform.values, AUDIO, lengths=waveform.lengths)
    mask = sequence_mask(frame_lengths(waveform.lengths, AUDIO), 40)
    bins = linear.transpose(1, 2)[mask.squeeze(1)].double()
    bands = mel_from_linear(linear, AUDIO).transpose(1, 2)[mask.squeeze(1)].double()
    rebuilt = bands @ found.slope.T + found.offset
    filters = mel_filters(AUDIO).double()
    torch.testing.assert_close((rebuilt @ filters.T).mean(0), (bins @ filters.T).mean(0))


def test_recordings_are_read_only_if_needed() -> None:
    objective, _ = finetuned(weights_of(source_model()))
    own = add_prefix(objective.generator.state_dict(), "generator")

    def unread() -> Iterator[Batch]:
        raise AssertionError
        yield

    assert objective.adapt(own, unread()) == {}


def test_every_tensor_is_accounted_for() -> None:
    weights = weights_of(source_model(speakers=3)) | {"discriminator.odd": torch.ones(1)}
    objective, report = finetuned(weights, speakers=3)
    model = {
        name
        for module, part in objective.modules.items()
        for name in add_prefix(part.state_dict(), module)
    }
    shares = [set(report.taken), set(report.adapted), set(report.grown), set(report.new)]
    assert sum(map(len, shares)) == len(set.union(*shares))
    mismatched = report.skipped.keys() & model
    assert set.union(*shares) | mismatched == model
    assert weights.keys() <= {*report.taken, *report.adapted, *report.grown, *report.skipped}
    assert report.skipped == {"discriminator.odd": "not in the model"}
    assert "generator.duration_predictor.noise.weight" in report.new
    assert "generator.flow.couplings.1.wavenet.gates.0.bias" in report.taken
    assert report.adapted["generator.posterior_encoder.input.weight"].startswith("from frequency")


@pytest.mark.parametrize("kind", ["stochastic", "regression"])
def test_a_predictor_becomes_part_of_a_mixed_one(kind: str) -> None:
    source = (
        DurationConfig(kind="stochastic", channels=12)
        if kind == "stochastic"
        else DurationConfig(kind="deterministic", channels=12)
    )
    weights = weights_of(source_model(source))
    duration = Vits2DurationConfig(kind="mixed", channels=12, stochastic_channels=12)
    objective, report = finetuned(weights, duration=duration)
    state = objective.generator.state_dict()
    names = [name for name in weights if ".duration_predictor." in name]
    assert names
    for name in names:
        rest = name.removeprefix("generator.duration_predictor.")
        ours = f"duration_predictor.{kind}.{rest}"
        assert torch.equal(state[ours], weights[name])
        assert f"generator.{ours}" in report.adapted
    assert not any(name in report.skipped for name in names)


def test_voice_without_posterior_encoder() -> None:
    weights = weights_of(source_model())
    inference_weights = {name: weights[name] for name in weights if "posterior_encoder" not in name}
    _, report = finetuned(inference_weights)
    assert "generator.posterior_encoder.input.weight" in report.new
    assert "generator.posterior_encoder.wavenet.gates.0.bias" in report.new
    assert not any("posterior" in name for name in report.adapted)


def test_weights_of_vits2_are_taken_unchanged() -> None:
    objective, _ = finetuned(weights_of(source_model()))
    state = {
        name: tensor.clone()
        for module, part in objective.modules.items()
        for name, tensor in add_prefix(part.state_dict(), module).items()
    }
    _, report = finetuned(state)
    assert set(report.taken) == state.keys()
    assert not report.adapted
