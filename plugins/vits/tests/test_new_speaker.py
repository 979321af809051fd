"""Training that continues a voice: the voice teaches the posterior encoder first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import evolve
from torch.distributions import Normal

from allophone.audio.melspec import MelSpec
from allophone.cli import allophone
from allophone.config import resolve
from allophone.config.experiment import Experiment, ParametersConfig, RuntimeConfig
from allophone.data.batch import Batch, Padded
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.files.run_folder import find_checkpoint
from allophone.text.symbols import SymbolTable
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone.weights.files import read_weights, write_weights
from allophone_hifigan.config import HifiganConfig
from allophone_testing.corpus import write_corpus
from allophone_vits.config import (
    DiscriminatorConfig,
    DurationConfig,
    FlowConfig,
    NewSpeakerTrainerConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
)
from allophone_vits.distillation.config import DistillTrainerConfig
from allophone_vits.gaussian import Gaussian, negative_log_likelihood
from allophone_vits.model import TRAINING_ONLY
from allophone_vits.new_speaker import NewSpeakerObjective
from allophone_vocos.config import DiscriminatorsConfig, SpectralLossConfig

AUDIO = MelSpec(n_fft=64, win_length=64, hop_length=16, n_mels=8, sample_rate=4000)
VOCABULARY = Vocabulary(symbols=SymbolTable.from_symbols("abcd"))
POSTERIOR = "generator.posterior_encoder."
RULES = (
    ParametersConfig(match="*", frozen_until=4),
    ParametersConfig(match="discriminator.*", frozen_until=2),
    ParametersConfig(match=f"{POSTERIOR}*"),
)


def objective(**trainer: Any) -> NewSpeakerObjective:
    torch.manual_seed(0)
    model = VitsConfig(
        latent_channels=8,
        text_encoder=TextEncoderConfig(hidden_channels=8, feed_forward_channels=8, layers=1),
        posterior_encoder=PosteriorEncoderConfig(hidden_channels=16, layers=2),
        flow=FlowConfig(hidden_channels=8, couplings=2, layers=1),
        duration=DurationConfig(kind="deterministic", channels=8),
        decoder=HifiganConfig(channels=16, upsample_rates=(4, 4), upsample_kernel_sizes=(8, 8)),
    )
    judges = DiscriminatorConfig(periods=(2,), scale_channels=(4, 4), period_channels=(4, 4))
    config = NewSpeakerTrainerConfig(**{"segment_size": 128, "discriminator": judges, **trainer})
    made = NewSpeakerObjective(Experiment(model=model, trainer=config, audio=AUDIO), VOCABULARY)
    # Each token lasts some frames, as in a trained voice.
    torch.nn.init.constant_(made.generator.duration_predictor.output.bias, 2.0)
    return made


def runtime_of(made: NewSpeakerObjective, **config: Any) -> TrainerRuntime:
    return TrainerRuntime(made, RuntimeConfig(**config), Rank())


@pytest.fixture
def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    waveform = torch.rand(2, 640, generator=generator) - 0.5
    waveform[1, 480:] = 0
    return Batch(
        ids=("a", "b"),
        features={
            "waveform": Padded(values=waveform, lengths=torch.tensor([640, 480])),
            "phonemes": Padded(
                values=torch.tensor([[0, 1, 2, 3], [2, 1, 3, 0]]), lengths=torch.tensor([4, 3])
            ),
        },
        speakers=torch.zeros(2, dtype=torch.int64),
        languages=torch.zeros(2, dtype=torch.int64),
        audio_seconds=0.28,
    )


def weights_of(made: NewSpeakerObjective) -> dict[str, torch.Tensor]:
    return {
        f"{module}.{name}": tensor.detach().clone()
        for module, one in made.modules.items()
        for name, tensor in one.named_parameters()
    }


def moved(before: dict[str, torch.Tensor], made: NewSpeakerObjective) -> set[str]:
    after = weights_of(made)
    return {name for name in after if not torch.equal(after[name], before[name])}


def test_the_likelihood_is_that_of_a_normal_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    z, mean, log_scale = torch.randn(3, 2, 4, 5, generator=generator)
    mask = torch.tensor([[[1, 1, 1, 1, 1]], [[1, 1, 1, 0, 0]]], dtype=torch.bool)
    found = negative_log_likelihood(z, Gaussian(mean=mean, log_scale=log_scale), mask)
    expected = -Normal(mean, log_scale.exp()).log_prob(z)[mask.expand_as(z)].mean()
    torch.testing.assert_close(found, expected)


def test_the_voice_knows_the_latents_of_its_own_speech(batch: Batch) -> None:
    made = objective()
    latents, spectrogram = made.speak(batch)
    assert made.generator.training, "speaking leaves the training mode as it was"
    assert latents.values.shape == (2, 8, spectrogram.size(2))
    assert spectrogram.size(1) == AUDIO.n_bins
    shorter = int(latents.lengths[1])
    assert shorter < latents.values.size(2)
    assert not latents.values[1, :, shorter:].any()
    again, _ = made.speak(batch)
    assert not torch.equal(again.values[:, :, :4], latents.values[:, :, :4]), "each time another"


def test_the_posterior_encoder_learns_from_the_voice(batch: Batch) -> None:
    made = objective(teaching_steps=80, learning_rate=5e-3)
    made.adapt({}, [])
    runtime = runtime_of(made, parameters=(ParametersConfig(match=f"{POSTERIOR}*"),))
    before = weights_of(made)
    losses = [float(runtime.take_step([batch])[0]["posterior_loss"]) for _ in range(80)]
    assert {name for name in moved(before, made) if not name.startswith(POSTERIOR)} == set()
    assert sum(losses[-10:]) < sum(losses[:10]) - 1


def test_what_learns_follows_the_schedule(batch: Batch) -> None:
    made = objective(teaching_steps=2)
    made.adapt({}, [])
    runtime = runtime_of(made, parameters=RULES)
    learned = []
    for _ in range(5):
        before = weights_of(made)
        runtime.take_step([batch])
        learned.append({name.partition(".")[0] for name in moved(before, made)})
        others = {name for name in moved(before, made) if name.startswith("generator.")}
        if runtime.step <= 4:
            assert all(name.startswith(POSTERIOR) for name in others)
    assert learned == [{"generator"}] * 2 + [{"generator", "discriminator"}] * 3
    assert any(not name.startswith(POSTERIOR) for name in others)


def test_it_asks_for_a_voice(batch: Batch) -> None:
    with pytest.raises(UserError, match="continues a voice, and none was given") as caught:
        runtime_of(objective(teaching_steps=2)).take_step([batch])
    assert "--finetune VOICE" in str(caught.value.hint)


def test_without_teaching_it_is_vits(batch: Batch) -> None:
    metrics = runtime_of(objective(teaching_steps=0)).take_step([batch])[0]
    assert {"mel_loss", "kl_loss", "duration_loss"} <= metrics.keys()


SMALL = (
    "model.latent_channels=16",
    "model.text_encoder={hidden_channels = 16, feed_forward_channels = 16, layers = 1}",
    "model.posterior_encoder={hidden_channels = 16, layers = 2}",
    "model.flow={hidden_channels = 16, couplings = 2, layers = 1}",
    "model.duration={kind = 'deterministic', channels = 16}",
    "model.decoder.channels=32",
    "trainer.segment_size=4096",
    "trainer.discriminator={periods = [2], scale_channels = [8, 8], period_channels = [4, 4]}",
    "text.phonemizer={type = 'graphemes'}",
    "audio.sample_rate=16000",
    "data.splits={valid = 2, test = 0, golden_test = 0}",
    "data.batching.workers=0",
    "runtime.precision=fp32",
    "runtime.samples=0",
)


def run(arguments: list[str]) -> None:
    """Run the command line; its errors are raised."""
    allophone(arguments, standalone_mode=False)


def test_a_voice_becomes_another_speaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way on the command line: a voice without a posterior encoder, a corpus, a run."""
    monkeypatch.chdir(tmp_path)
    write_corpus(Path("recordings"), utterances=8, sample_rate=16000)
    settings = [part for setting in SMALL for part in ("--set", setting)]
    run(["prepare", "vits/new-speaker", *settings])
    run(["extract", "vits/new-speaker", *settings])
    plain = [*settings, "--set", 'trainer.type="vits"', "--set", "runtime.parameters=[]"]
    run(["train", "vits/new-speaker", *plain, "--run", "old", "--max-steps", "1"])
    run(["import", "old", "voice"])
    weights = read_weights(Path("voice/model.safetensors"))
    exported = {name: one for name, one in weights.items() if not TRAINING_ONLY.match(name)}
    assert len(exported) < len(weights)
    write_weights(Path("voice/model.safetensors"), exported)  # As Piper's have.

    rules = (
        "runtime.parameters=[{match='*', frozen_until=2}, {match='generator.posterior_encoder.*'}]"
    )
    run(["train", "vits/new-speaker", *settings, "--set", rules, "--set", "trainer.teaching_steps=2",
         "--run", "new", "--finetune", "voice", "--max-steps", "3"])  # fmt: skip
    report = json.loads(Path("new/finetune.json").read_text())
    assert any(name.startswith(POSTERIOR) for name in report["new"])
    assert not report["skipped"]
    assert find_checkpoint(Path("new")).step == 3
    run(["say", "boats came home", "--voice", "new", "--out", "a.wav"])
    assert Path("a.wav").stat().st_size > 1000


@pytest.mark.parametrize("recipe", ["vits/new-speaker", "vits/asterisk"])
def test_the_recipes_continue_a_medium_voice(recipe: str) -> None:
    pytest.importorskip("allophone_corpora")
    from allophone_vits.config import SIZES

    experiment = resolve(recipe).experiment
    medium = SIZES["medium"]
    assert experiment.model.decoder == medium.decoder
    assert experiment.model.text_encoder == medium.text_encoder
    trainer = experiment.trainer
    assert isinstance(trainer, NewSpeakerTrainerConfig)
    starts = {rule.match: rule.frozen_until for rule in experiment.runtime.parameters}
    assert starts["discriminator.*"] == trainer.teaching_steps < starts["*"]


@pytest.mark.parametrize("recipe", ["vits/new-speaker-fast", "vits/asterisk-fast"])
def test_the_fast_recipes_continue_a_distilled_voice(recipe: str) -> None:
    """Decoder and discriminators are those of `vits/distill`, so that their weights are taken.

    The packed training of `asterisk` is older and has no discriminators of magnitudes.
    """
    pytest.importorskip("allophone_corpora")
    experiment, distilled = resolve(recipe).experiment, resolve("vits/distill").experiment
    trainer, teacher = experiment.trainer, distilled.trainer
    assert isinstance(trainer, NewSpeakerTrainerConfig)
    assert isinstance(teacher, DistillTrainerConfig)
    from allophone_vits.config import SIZES

    # asterisk has the text encoder and the flow of a medium voice. Both learn with dropout, which a student has not.
    size = SIZES["medium"] if recipe == "vits/asterisk-fast" else distilled.model
    text_encoder = evolve(size.text_encoder, dropout=experiment.model.text_encoder.dropout)
    assert experiment.model == evolve(distilled.model, text_encoder=text_encoder, flow=size.flow)
    judges = teacher.discriminators
    if recipe == "vits/asterisk-fast":
        judges = evolve(judges, stft_sizes=(1024, 512, 256), magnitude_sizes=())
    assert trainer.discriminator == judges
    starts = {rule.match: rule.frozen_until for rule in experiment.runtime.parameters}
    assert starts["*"] == trainer.teaching_steps < starts["generator.duration_predictor.*"]
    new_parts = [name for name in starts if "duration_predictor" in name][1:]
    assert all(TRAINING_ONLY.match(name.removeprefix("generator.")) for name in new_parts)


def test_small_discriminators(batch: Batch) -> None:
    """They learn, and so does the generator from them."""
    judges = DiscriminatorsConfig(
        periods=(2,), period_channels=(4, 4), stft_sizes=(64,), spectral_channels=4
    )
    made = objective(teaching_steps=0, discriminator=judges)
    before = weights_of(made)
    metrics = runtime_of(made).take_step([batch])[0]
    assert {"discriminator_loss", "adversarial_loss", "feature_loss"} <= metrics.keys()
    learned = {name.partition(".")[0] for name in moved(before, made)}
    assert learned == {"discriminator", "generator"}


def test_spectral_losses_are_added_with_their_weights(batch: Batch) -> None:
    config = SpectralLossConfig(
        sizes=(64, 128), per_step=1, mel_weight=2.0, stft_weight=3.0, phase_weight=4.0
    )
    plain = runtime_of(objective(teaching_steps=0)).take_step([batch])[0]
    runtime = runtime_of(objective(teaching_steps=0, spectral=config))
    metrics = runtime.take_step([batch])[0]
    added = {"spectral_mel": 2.0, "stft": 3.0, "phase": 4.0}
    assert {f"{name}_loss" for name in added} == metrics.keys() - plain.keys()
    weights = runtime.objective.weights
    total = sum(
        weights[name] * float(metrics[f"{name}_loss"])
        for name in weights
        if f"{name}_loss" in metrics
    )
    assert {name: weights[name] for name in added} == added
    assert total == pytest.approx(float(metrics["generator_loss"]), rel=1e-4)
