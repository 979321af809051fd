"""Start of the duration discriminator, KL divergence and alignment noise."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from allophone.audio.melspec import MelSpec
from allophone.config.experiment import Experiment, RuntimeConfig
from allophone.data.batch import Batch, Padded
from allophone.data.vocabulary import Vocabulary
from allophone.text.symbols import SymbolTable
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone_hifigan.config import HifiganConfig
from allophone_vits.config import DiscriminatorConfig, TextEncoderConfig
from allophone_vits.gaussian import kl_loss
from allophone_vits.model import align
from allophone_vits2.alignment import NoisySearch
from allophone_vits2.config import (
    AlignmentNoiseConfig,
    DurationDiscriminatorConfig,
    Vits2Config,
    Vits2FlowConfig,
    Vits2PosteriorEncoderConfig,
    Vits2TrainerConfig,
)
from allophone_vits2.model import Vits2
from allophone_vits2.objective import Vits2Objective

AUDIO = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=4000)
VOCABULARY = Vocabulary(symbols=SymbolTable.from_symbols("abcd"))


def objective(*, flow: str = "pre_conv2", **trainer: Any) -> Vits2Objective:
    torch.manual_seed(0)
    model = Vits2Config(
        latent_channels=8,
        text_encoder=TextEncoderConfig(hidden_channels=8, feed_forward_channels=8, layers=1),
        posterior_encoder=Vits2PosteriorEncoderConfig(hidden_channels=8, layers=1),
        flow=Vits2FlowConfig(kind=flow, hidden_channels=8, couplings=2, layers=1),  # type: ignore[arg-type]
        decoder=HifiganConfig(channels=16, upsample_rates=(4, 4), upsample_kernel_sizes=(8, 8)),
    )
    config = Vits2TrainerConfig(
        segment_size=128,
        discriminator=DiscriminatorConfig(
            periods=(2,), scale_channels=(4, 4), period_channels=(4, 4)
        ),
        **trainer,
    )
    return Vits2Objective(Experiment(model=model, trainer=config, audio=AUDIO), VOCABULARY)


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([640, 480])
    waveform = torch.rand(2, 640, generator=generator) - 0.5
    waveform[1, 480:] = 0
    phonemes = torch.randint(0, 4, (2, 9), generator=generator)
    zeros = torch.zeros(2, dtype=torch.long)
    return Batch(
        ids=("a", "b"),
        features={
            "waveform": Padded(values=waveform, lengths=lengths),
            "phonemes": Padded(values=phonemes, lengths=torch.tensor([9, 7])),
        },
        speakers=zeros,
        languages=zeros,
        audio_seconds=1.0,
    )


def runtime(trained: Vits2Objective) -> TrainerRuntime:
    return TrainerRuntime(trained, RuntimeConfig(precision="fp32"), Rank())


def test_the_duration_discriminator_starts_at_its_step(batch: Batch) -> None:
    trained = objective(duration_discriminator=DurationDiscriminatorConfig(channels=8, start=2))
    run = runtime(trained)
    discriminator = trained.modules["duration_discriminator"]
    before = {name: weight.clone() for name, weight in discriminator.state_dict().items()}
    for _ in range(2):
        (metrics,) = run.take_step([batch])
        assert not any("duration_" in name for name in metrics if name != "duration_loss")
    for name, weight in discriminator.state_dict().items():
        assert torch.equal(weight, before[name])
    (metrics,) = run.take_step([batch])
    assert {"duration_discriminator_loss", "duration_adversarial_loss"} <= metrics.keys()
    assert not torch.equal(discriminator.state_dict()["duration.weight"], before["duration.weight"])


def test_the_adversarial_duration_loss_only_updates_the_predictor(batch: Batch) -> None:
    states = {}
    for weight in (0.0, 100.0):
        trained = objective(
            duration_discriminator=DurationDiscriminatorConfig(channels=8, start=0, weight=weight)
        )
        run = runtime(trained)
        torch.manual_seed(1)
        run.take_step([batch])
        generator = trained.generator
        states[weight] = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    different = {
        name for name in states[0.0] if not torch.equal(states[0.0][name], states[100.0][name])
    }
    assert different
    assert all(name.startswith("duration_predictor.") for name in different)


def test_the_duration_discriminator_can_be_disabled(batch: Batch) -> None:
    trained = objective(duration_discriminator=DurationDiscriminatorConfig(kind="none"))
    assert set(trained.modules) == set(trained.optimizers()) == {"generator", "discriminator"}
    (metrics,) = runtime(trained).take_step([batch])
    assert "duration_discriminator_loss" not in metrics


@pytest.mark.parametrize("flow", ["pre_conv2", "mono_layer_post_residual"])
def test_kl_loss_includes_the_log_determinant_of_the_flow(flow: str, batch: Batch) -> None:
    trained = objective(flow=flow)
    generator = trained.generator
    assert isinstance(generator, Vits2)
    target = trained._target(batch)
    torch.manual_seed(0)
    output = trained._forward(runtime(trained), batch, target)
    actual = trained.reconstruction_losses(output, target)["kl"]
    without = kl_loss(output.z_p, output.posterior, output.prior, output.frame_mask)
    torch.testing.assert_close(actual, without - generator.flow.log_determinant)
    assert (generator.flow.log_determinant > 0) == (flow == "mono_layer_post_residual")


def test_alignment_noise_decays_and_is_off_in_validation(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = objective(alignment_noise=AlignmentNoiseConfig(initial=0.5, decrease=0.25))
    scales: list[float] = []
    search = NoisySearch.__call__

    def recorded(self: NoisySearch, *arguments: Any) -> Any:
        scales.append(self.scale)
        return search(self, *arguments)

    monkeypatch.setattr(NoisySearch, "__call__", recorded)
    run = runtime(trained)
    for _ in range(4):
        run.take_step([batch])
        with run.evaluating():
            trained.eval_step(run, batch)
    assert scales == [0.5, 0.25]
    assert trained.alignment_search(2) is align
