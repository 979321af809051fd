"""Training a vocoder from a table [vocoder], and training on several corpora."""

from __future__ import annotations

import json
import shutil
import sys
import types
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pytest
import soundfile
import torch
from attrs import evolve, frozen
from torch import Tensor, nn

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.config import Experiment, resolve, structure
from allophone.data.batch import Batch
from allophone.data.manifest import read_manifest, write_manifest
from allophone.datasets.loading import open_corpus
from allophone.entries import ModelEntry, TrainerEntry, VocoderEntry
from allophone.errors import ConfigError, UserError
from allophone.files.run_folder import find_checkpoint, read_provenance
from allophone.hookspecs import hookimpl
from allophone.inference.importing import import_checkpoint
from allophone.inference.locate import find_voice
from allophone.inference.protocol import VocoderSpec
from allophone.inference.vocoders import load_vocoder
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import Registry, build_registry
from allophone.training.loop import train
from allophone.training.objective import OptimizerPlan
from allophone.training.ranks import Rank
from allophone.training.run import open_run
from allophone_testing.corpus import write_corpus

CPU = torch.device("cpu")
COLUMNS = ["audio", "text", "speaker"]


@frozen(kw_only=True)
class HopConfig:
    """A frame makes its hop by a linear layer."""


@frozen(kw_only=True)
class HopTrainerConfig:
    """`type = "hop"`."""


@frozen(kw_only=True)
class TalkerConfig:
    """A model without a trainer."""


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
    plugin.CONTRACT = 1
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
            inference_module="generator",
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


def test_the_provenance_names_the_vocoder(run):
    provenance = read_provenance(find_checkpoint(run))
    assert provenance["vocoder"]["type"] == "hop"
    assert "model" not in provenance


def test_no_utterance_is_dropped_for_text_or_speaker(experiment, registry, tmp_path):
    opened = open_run(tmp_path / "run", experiment, rank=Rank(), registry=registry)
    assert opened.vocabulary.symbols.size == 0
    assert opened.vocabulary.speakers == ()
    assert not opened.train.dropped
    assert opened.valid is not None
    assert not opened.valid.dropped
    ids = {id for batch in [*opened.train, *opened.valid] for id in batch.ids}
    assert len(ids) == 8


def test_a_vocoder_can_be_used_from_a_run_and_a_folder(run, experiment, registry, tmp_path):
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
    with pytest.raises(UserError, match="trained a vocoder, not a voice"):
        find_voice(run, registry).read(registry)


def test_calibration_runs_once_and_is_kept(run, experiment, registry, tmp_path):
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


def test_fine_tuning_from_a_vocoder_folder(run, experiment, registry, tmp_path):
    import_checkpoint(run, tmp_path / "vocoder", None, registry)
    tuned = open_run(
        tmp_path / "run", experiment, rank=Rank(), registry=registry, finetune=tmp_path / "vocoder"
    )
    trained = load_vocoder(run, None, device=CPU, registry=registry)
    generator = tuned.objective.modules["generator"]
    assert torch.equal(generator.linear.weight, trained.linear.weight)


def test_an_experiment_has_a_model_or_a_vocoder(registry, tmp_path):
    path = tmp_path / "both.toml"
    path.write_text('[model]\ntype = "talker"\n[vocoder]\ntype = "hop"\n')
    with pytest.raises(ConfigError, match="can train only one of them"):
        resolve(path, registry=registry)


def test_a_trainer_of_something_else_is_refused(experiment, registry, tmp_path):
    other = evolve(experiment, vocoder=None, model=TalkerConfig())
    with pytest.raises(ConfigError, match="trains 'hop', but the experiment has a \\[model\\]"):
        open_run(tmp_path / "run", other, rank=Rank(), registry=registry)


@pytest.fixture(scope="module")
def together(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Speech at 8 kHz and songs at 16 kHz, of which each counts twice, prepared and extracted."""
    place = tmp_path_factory.mktemp("together")
    write_corpus(place / "speech", utterances=7, speakers=2, sample_rate=8000)
    (place / "songs").mkdir()
    lines = []
    for number in range(1, 7):
        tone = np.sin(2 * np.pi * 220 * np.arange(12000) / 16000)
        soundfile.write(place / "songs" / f"{number}.wav", 0.5 * tone / number, 16000)
        lines.append(json.dumps({"audio": f"{number}.wav", "group": f"song {number}"}))
    (place / "songs" / "list.jsonl").write_text("\n".join(lines))
    plain = {
        "data": {
            "directory": str(place / "data"),
            "corpora": [
                {"type": "table", "root": str(place / "speech"), "columns": COLUMNS},
                {
                    "type": "table",
                    "root": str(place / "songs"),
                    "file": "list.jsonl",
                    "weight": 2.0,
                },
            ],
            "splits": {"valid": 3, "test": 0, "golden_test": 0, "seed": 3},
            "batching": {"max_utterances": 4},
        },
        "audio": {"sample_rate": 8000, "n_fft": 256, "hop_length": 64, "win_length": 256},
        "features": {"waveform": {}},
        "vocoder": {"type": "hop"},
        "trainer": {"type": "hop"},
        "runtime": {"max_steps": 8},
    }
    experiment = structure(Experiment, plain, registry=registry)
    prepare(experiment, registry)
    assert extract(experiment, registry).notes == {"resampled from 16000 to 8000 Hz": 6}
    return experiment


def test_two_corpora_train_together(together, registry, tmp_path):
    run = open_run(tmp_path / "run", together, rank=Rank(), registry=registry)
    assert run.train is not None
    assert run.valid is not None
    seen = Counter(id for batch in run.train for id in batch.ids)
    heard = Counter(id for batch in run.valid for id in batch.ids)
    assert {id.partition("-")[0] for id in seen} == {"table1", "table2"}
    assert all(count == (2 if id.startswith("table2-") else 1) for id, count in seen.items())
    assert {id.partition("-")[0] for id in heard} == {"table1", "table2"}
    assert set(heard.values()) == {1}
    assert len(seen) + len(heard) == 13
    assert not set(seen) & set(heard)
    before = run.objective.modules["generator"].linear.weight.clone()
    train(open_run(tmp_path / "trained", together, rank=Rank(), registry=registry))
    trained = load_vocoder(tmp_path / "trained", together.audio, device=CPU, registry=registry)
    assert not torch.equal(trained.linear.weight, before)
    assert trained.linear.weight.isfinite().all()


def test_two_corpora_have_one_sample_rate_and_separate_speakers(together, registry):
    stored = open_corpus(together, registry).stored
    songs = [item for item in stored if item.utterance.corpus == "table2"]
    assert {item.features["waveform"].shape for item in songs} == {(6000,)}
    assert {item.seconds for item in songs} == {0.75}
    assert {item.utterance.speaker for item in stored} == {
        "table1-speaker-0",
        "table1-speaker-1",
        "table2",
    }


def test_corpus_weights_can_change_without_a_new_manifest(together, registry):
    speech, songs = together.data.corpora
    data = evolve(together.data, corpora=(evolve(speech, weight=3.0), evolve(songs, weight=0.5)))
    corpus = open_corpus(evolve(together, data=data), registry)
    vocabulary = corpus.build_vocabulary()
    loader = corpus.loader("train", features=(), vocabulary=vocabulary, weighted=True)
    seen = Counter(id for _ in range(40) for batch in loader for id in batch.ids)
    assert {count for id, count in seen.items() if id.startswith("table1-")} == {120}
    halves = [count for id, count in seen.items() if id.startswith("table2-")]
    assert sum(halves) == pytest.approx(20 * len(halves), abs=20)
    assert min(halves) > 10


def test_weights_apply_only_to_training(together, registry, tmp_path, monkeypatch):
    corpus = open_corpus(together, registry)
    expected = sorted(utterance.id for utterance in corpus.split("train"))
    loader = corpus.loader("train", features=(), vocabulary=corpus.build_vocabulary())
    assert sorted(id for batch in loader for id in batch.ids) == expected
    shown: list[str] = []
    monkeypatch.setattr(
        HopObjective,
        "calibrate",
        lambda _, batches: shown.extend(id for batch in batches for id in batch.ids),
    )
    open_run(tmp_path / "run", together, rank=Rank(), registry=registry)
    assert sorted(shown) == expected


def test_a_weighted_epoch_is_resumed_and_shared_by_ranks(together, registry):
    speech, songs = together.data.corpora
    data = evolve(together.data, corpora=(evolve(speech, weight=1.5), evolve(songs, weight=0.7)))
    corpus = open_corpus(evolve(together, data=data), registry)

    def loader(rank):
        vocabulary = corpus.build_vocabulary()
        return corpus.loader(
            "train", features=(), vocabulary=vocabulary, rank=rank, world_size=2, weighted=True
        )

    whole = [[batch.ids for _ in range(5) for batch in run] for run in map(loader, (0, 1))]
    assert len(whole[0]) == len(whole[1])
    stopped, resumed = loader(1), loader(1)
    for _ in range(2):
        list(stopped)
    next(iter(stopped))
    resumed.load_state_dict(stopped.state_dict())
    rest = [batch.ids for _ in range(3) for batch in resumed]
    assert rest == whole[1][-len(rest) :]
    assert len(rest) == 3 * len(stopped) - 1


def test_a_manifest_that_names_no_corpora_cannot_be_weighted(together, registry, tmp_path):
    old = [
        evolve(u, corpus=None) for u in read_manifest(f"{together.data.directory}/manifest.jsonl")
    ]
    directory = tmp_path / "data"
    shutil.copytree(together.data.directory, directory)
    write_manifest(directory / "manifest.jsonl", old)
    moved = evolve(together, data=evolve(together.data, directory=str(directory)))
    with pytest.raises(UserError, match="corpora cannot be weighted"):
        open_corpus(moved, registry)
    plain = tuple(evolve(corpus, weight=1.0) for corpus in together.data.corpora)
    open_corpus(evolve(moved, data=evolve(moved.data, corpora=plain)), registry)
