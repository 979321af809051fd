"""A vocoder is trained like a model: without text, from a table [vocoder], to a folder of its own."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterable, Iterator, Mapping

import pytest
import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.config import Experiment, resolve
from allophone.data.batch import Batch
from allophone.entries import ModelEntry, TrainerEntry, VocoderEntry
from allophone.errors import ConfigError, UserError
from allophone.hookspecs import hookimpl
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import Registry, build_registry
from allophone.run_folder import find_checkpoint, read_provenance
from allophone.synthesis.importing import import_checkpoint
from allophone.synthesis.places import find_voice
from allophone.synthesis.protocol import VocoderSpec
from allophone.synthesis.vocoders import load_vocoder
from allophone.testing.corpus import write_corpus
from allophone.training.loop import train
from allophone.training.objective import OptimizerPlan
from allophone.training.ranks import Rank
from allophone.training.run import open_run

CPU = torch.device("cpu")


@frozen(kw_only=True)
class HopConfig:
    """A frame makes its hop by a linear layer."""


@frozen(kw_only=True)
class HopTrainerConfig:
    """`type = "hop"`."""


@frozen(kw_only=True)
class TalkerConfig:
    """A model that nobody trains here."""


class Hop(nn.Module):
    """Mel [B, M, F] to samples [B, F * hop]; what it was calibrated on is in a buffer."""

    loudest: Tensor

    def __init__(self, audio: MelSpec) -> None:
        super().__init__()
        self.audio = audio
        self.linear = nn.Linear(audio.n_mels, audio.hop_length)
        self.register_buffer("loudest", torch.zeros(()))

    def forward(self, mel: Tensor) -> Tensor:
        made: Tensor = self.linear(mel.transpose(1, 2)).flatten(1)
        return made

    def vocode(self, mel: Tensor, lengths: Tensor) -> Tensor:
        return self(mel)


def build_hop(spec: VocoderSpec, weights: Mapping[str, Tensor], device: torch.device) -> Hop:
    hop = Hop(spec.audio)
    hop.load_state_dict(dict(weights))
    return hop.to(device)


class HopObjective:
    features = ("waveform",)
    calibration_features = ("waveform",)

    def __init__(self, experiment: Experiment, vocabulary: object) -> None:
        self.audio = experiment.audio
        self.modules: Mapping[str, nn.Module] = {"generator": Hop(experiment.audio)}

    def calibrate(self, batches: Iterable[Batch]) -> None:
        loudest = torch.stack([batch["waveform"].values.abs().max() for batch in batches]).max()
        self.modules["generator"].loudest.copy_(loudest)

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        return {
            "generator": OptimizerPlan(
                modules=("generator",),
                optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
            )
        }

    def _loss(self, rt: object, batch: Batch) -> Tensor:
        waveform = batch["waveform"].values
        made = rt["generator"](mel_spectrogram(waveform, self.audio))  # type: ignore[index]
        return (made[:, : waveform.size(1)] - waveform[:, : made.size(1)]).abs().mean()

    def train_step(self, rt, batch: Batch):  # type: ignore[no-untyped-def]
        loss = self._loss(rt, batch)
        rt.update("generator", loss)
        return {"loss": loss}

    def eval_step(self, rt, batch: Batch):  # type: ignore[no-untyped-def]
        return {"loss": self._loss(rt, batch)}


@pytest.fixture(scope="module")
def registry() -> Registry:
    plugin = types.ModuleType("hop_plugin")
    here = __name__
    sys.modules.setdefault(here, sys.modules[__name__])

    @hookimpl
    def allophone_vocoders() -> Iterator[VocoderEntry]:
        yield VocoderEntry(
            name="hop", summary="-", config=f"{here}:HopConfig", vocoder=f"{here}:build_hop"
        )

    @hookimpl
    def allophone_models() -> Iterator[ModelEntry]:
        yield ModelEntry(
            name="talker", summary="-", config=f"{here}:TalkerConfig", synthesizer="x:y"
        )

    @hookimpl
    def allophone_trainers() -> Iterator[TrainerEntry]:
        yield TrainerEntry(
            name="hop",
            summary="-",
            config=f"{here}:HopTrainerConfig",
            objective=f"{here}:HopObjective",
            trains="hop",
            speaks="generator",
        )

    for hook in (allophone_vocoders, allophone_models, allophone_trainers):
        setattr(plugin, hook.__name__, hook)
    return build_registry({"hop_plugin": plugin})


@pytest.fixture(scope="module")
def experiment(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Recordings of two speakers, prepared and extracted."""
    place = tmp_path_factory.mktemp("hop")
    write_corpus(place / "recordings", utterances=8, speakers=2, sample_rate=8000)
    root, data = json.dumps(str(place / "recordings")), json.dumps(str(place / "data"))
    (place / "hop.toml").write_text(
        f"""
        [[data.corpora]]
        type = "table"
        root = {root}
        columns = ["audio", "text", "speaker"]
        [data]
        directory = {data}
        splits = {{valid = 2, test = 0, golden_test = 0}}
        [audio]
        sample_rate = 8000
        n_fft = 256
        hop_length = 64
        win_length = 256
        n_mels = 20
        [features.waveform]
        [vocoder]
        type = "hop"
        [trainer]
        type = "hop"
        [runtime]
        max_steps = 2
        """
    )
    experiment = resolve(place / "hop.toml", registry=registry).experiment
    prepare(experiment, registry)
    extract(experiment, registry)
    return experiment


@pytest.fixture(scope="module")
def run(experiment: Experiment, registry: Registry, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("runs") / "hop"
    train(open_run(folder, experiment, rank=Rank(), registry=registry))
    return folder


def test_its_checkpoint_says_what_it_needs(run):
    provenance = read_provenance(find_checkpoint(run))
    assert provenance["vocoder"]["type"] == "hop"
    assert "model" not in provenance


def test_nobody_is_left_out_for_text_or_speaker(experiment, registry, tmp_path):
    opened = open_run(tmp_path / "run", experiment, rank=Rank(), registry=registry)
    assert opened.vocabulary.symbols.size == 0
    assert opened.vocabulary.speakers == ()
    assert not opened.train.dropped
    assert opened.valid is not None
    assert not opened.valid.dropped
    ids = {id for batch in [*opened.train, *opened.valid] for id in batch.ids}
    assert len(ids) == 8


def test_a_run_is_heard_as_it_is_and_as_a_folder(run, experiment, registry, tmp_path):
    mel = torch.randn(1, 20, 9)
    from_run = load_vocoder(run, experiment.audio, device=CPU, registry=registry)
    assert import_checkpoint(run, tmp_path / "vocoder", None, registry) == "a run of Allophone"
    from_folder = load_vocoder(tmp_path / "vocoder", None, device=CPU, registry=registry)
    assert not from_folder.audio.differences(experiment.audio)
    lengths = torch.tensor([9])
    assert torch.equal(from_run.vocode(mel, lengths), from_folder.vocode(mel, lengths))


def test_a_run_of_a_vocoder_is_refused_for_other_mels_and_as_a_voice(run, experiment, registry):
    with pytest.raises(UserError, match="f_max: None against 3000"):
        load_vocoder(run, evolve(experiment.audio, f_max=3000.0), device=CPU, registry=registry)
    with pytest.raises(UserError, match="has trained a vocoder, not a voice"):
        find_voice(run, registry).read(registry)


def test_statistics_are_taken_once_and_kept(run, experiment, registry, tmp_path):
    whole = open_run(tmp_path / "whole", experiment, rank=Rank(), registry=registry)
    assert 0.4 < float(whole.objective.modules["generator"].loudest) <= 0.5
    resumed_experiment = evolve(experiment, runtime=evolve(experiment.runtime, max_steps=3))
    resumed = open_run(
        tmp_path / "resumed",
        resumed_experiment,
        rank=Rank(),
        registry=registry,
        resume=find_checkpoint(run),
    )
    trained = load_vocoder(run, None, device=CPU, registry=registry)
    assert resumed.objective.modules["generator"].loudest == trained.loudest


def test_fine_tuning_begins_with_a_vocoders_folder(run, experiment, registry, tmp_path):
    import_checkpoint(run, tmp_path / "vocoder", None, registry)
    tuned = open_run(
        tmp_path / "run", experiment, rank=Rank(), registry=registry, finetune=tmp_path / "vocoder"
    )
    trained = load_vocoder(run, None, device=CPU, registry=registry)
    generator = tuned.objective.modules["generator"]
    assert torch.equal(generator.linear.weight, trained.linear.weight)


def test_an_experiment_trains_one_of_the_two(registry, tmp_path):
    path = tmp_path / "both.toml"
    path.write_text('[model]\ntype = "talker"\n[vocoder]\ntype = "hop"\n')
    with pytest.raises(ConfigError, match="trains one of them"):
        resolve(path, registry=registry)


def test_a_trainer_of_something_else_is_refused(experiment, registry, tmp_path):
    other = evolve(experiment, vocoder=None, model=TalkerConfig())
    with pytest.raises(ConfigError, match="trains 'hop', but the experiment has a \\[model\\]"):
        open_run(tmp_path / "run", other, rank=Rank(), registry=registry)
