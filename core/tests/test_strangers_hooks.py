"""A stranger's distribution plugs in a batch sampler and a metric, and a model is trained with both.

B batch, N samples.
"""

from __future__ import annotations

import json
import types

import pytest
import torch
from attrs import frozen
from test_batch_samplers import TURNS
from torch import nn
from torch.multiprocessing.spawn import start_processes

from allophone.config import Experiment, structure
from allophone.entries import MetricEntry, ModelEntry, Score, TrainerEntry
from allophone.errors import PluginError
from allophone.events import SampleAudio
from allophone.hookspecs import hookimpl
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import build_registry
from allophone.run_folder import checkpoints, find_checkpoint, read_provenance
from allophone.testing.corpus import write_corpus
from allophone.training.distributed import DistributedEnv, process_group
from allophone.training.loop import train
from allophone.training.objective import OptimizerPlan
from allophone.training.ranks import Rank
from allophone.training.run import open_run


@frozen(kw_only=True)
class EchoConfig:
    """The model `echo`: the recording, as loud as it has learned."""


@frozen(kw_only=True)
class EchoTrainerConfig:
    """The trainer `echo`: the recording at half its level is the target."""


class Gain(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, waveform):
        return self.gain * waveform


class Echo:
    features = ("waveform",)

    def __init__(self, experiment, vocabulary):
        self.rate = experiment.audio.sample_rate
        self.modules = {"model": Gain()}
        self.said = []

    def optimizers(self):
        return {
            "model": OptimizerPlan(modules=("model",), optimizer=lambda p: torch.optim.SGD(p, 0.5))
        }

    def _loss(self, rt, batch):
        waveform = batch["waveform"].values
        return (rt["model"](waveform) - waveform / 2).square().mean() * 100

    def train_step(self, rt, batch):
        loss = self._loss(rt, batch)
        rt.update("model", loss)
        return {"loss": loss, "speaker": float(batch.speakers[0]), "utterances": float(len(batch))}

    def eval_step(self, rt, batch):
        return {"loss": self._loss(rt, batch)}

    def sample(self, rt, batch):
        waveform = batch["waveform"]
        said = rt["model"](waveform.values)
        return {
            f"{id}/audio": SampleAudio(samples=row[: int(length)].numpy(), sample_rate=self.rate)
            for id, row, length in zip(batch.ids, said, waveform.lengths, strict=True)
        }


@frozen(kw_only=True)
class LevelConfig:
    """The metric `level`."""

    of: float = 0.5


class Level:
    """How near the level is to a share of the reference's: 1 where it is the same."""

    def __init__(self, config, context):
        self.of = config.of

    def score(self, speech):
        levels = [float(abs(one.samples).mean() / abs(one.reference).mean()) for one in speech]
        return [{"level": 1 - abs(level - self.of)} for level in levels]


def stranger():
    module = types.ModuleType("stranger")
    module.CONTRACT = 1
    module.allophone_batch_samplers = hookimpl(lambda: [TURNS])
    metric = MetricEntry(
        name="level",
        summary="-",
        config=f"{__name__}:LevelConfig",
        metric=f"{__name__}:Level",
        scores=(Score(name="level", better="higher"),),
        needs_reference=True,
    )
    model = ModelEntry(name="echo", summary="-", config=f"{__name__}:EchoConfig", synthesizer="x:y")
    trainer = TrainerEntry(
        name="echo",
        summary="-",
        config=f"{__name__}:EchoTrainerConfig",
        objective=f"{__name__}:Echo",
        trains="echo",
        inference_module="model",
    )
    module.allophone_metrics = hookimpl(lambda: [metric])
    module.allophone_models = hookimpl(lambda: [model])
    module.allophone_trainers = hookimpl(lambda: [trainer])
    return build_registry({"stranger": module}, strict=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve utterances of two speakers, extracted."""
    folder = tmp_path_factory.mktemp("stranger")
    write_corpus(folder / "recordings", utterances=12, speakers=2, sample_rate=8000)
    experiment = experiment_in(folder)
    prepare(experiment, stranger())
    extract(experiment, stranger())
    return folder


def experiment_in(folder, *, mistake="", **runtime):
    corpus = {
        "type": "table",
        "root": str(folder / "recordings"),
        "columns": ["audio", "text", "speaker"],
    }
    plain = {
        "data": {
            "directory": str(folder / "data"),
            "corpora": [corpus],
            "splits": {"valid": 3, "test": 0, "golden_test": 0},
            "batching": {"type": "turns", "mistake": mistake},
        },
        "audio": {"sample_rate": 8000},
        "features": {"waveform": {}},
        "model": {"type": "echo"},
        "trainer": {"type": "echo"},
        "runtime": {
            "log_every": 1,
            "validate_every": 3,
            "sample_every": 1000,
            "checkpoint_every": 3,
            "metrics": {"level": {}, "mel-distance": {}},
            "keep": {"last": 1, "best_metric": "level"},
            **runtime,
        },
    }
    return structure(Experiment, plain, registry=stranger())


def trained(run, experiment, resume=None):
    train(open_run(run, experiment, rank=Rank(), registry=stranger(), resume=resume))
    return [json.loads(line) for line in (run / "metrics.jsonl").open()]


def test_a_model_is_trained_with_both(folder, tmp_path):
    lines = trained(tmp_path / "run", experiment_in(folder, max_steps=12))
    steps = [line["metrics"] for line in lines if line["event"] == "step"]
    assert [step["utterances"] for step in steps] == [1.0] * 12
    speakers = [step["speaker"] for step in steps]
    assert {tuple(speakers[at : at + 2]) for at in range(0, 8, 2)} <= {(0.0, 1.0), (1.0, 0.0)}
    levels = [line["metrics"]["level"] for line in lines if line["event"] == "validated"]
    assert len(levels) == 4
    assert levels == sorted(levels)
    assert 0.5 < levels[0] < levels[-1] < 1
    distances = [line["metrics"]["mel_distance"] for line in lines if line["event"] == "validated"]
    assert max(distances) < 0.01, "a recording that is quieter is the same speech"
    best = read_provenance(checkpoints(tmp_path / "run")[-1])["validation"]
    assert best["level"] == max(levels)


def test_a_run_that_is_resumed_equals_one_that_was_not(folder, tmp_path):
    whole = trained(tmp_path / "whole", experiment_in(folder, max_steps=9))
    trained(tmp_path / "parts", experiment_in(folder, max_steps=3))
    last = find_checkpoint(tmp_path / "parts")
    parts = trained(tmp_path / "parts", experiment_in(folder, max_steps=9), resume=last)
    for one, other in zip(whole, parts, strict=True):
        assert one["metrics"] == other["metrics"]


def train_on_rank(rank, folder, run):
    torch.set_num_threads(1)
    meeting = run.with_name("meeting").as_uri()
    env = DistributedEnv(rank=rank, local_rank=rank, world_size=2, init_method=meeting)
    experiment = experiment_in(folder, max_steps=4, validate_every=2, checkpoint_every=2)
    with process_group(env, torch.device("cpu")) as joined:
        opened = open_run(run, experiment, rank=joined, registry=stranger())
        train(opened)
        assert "level" in opened.validation, "every rank knows the scores"


def test_two_ranks_share_the_batches_and_the_scores(folder, tmp_path):
    run = tmp_path / "run"
    start_processes(train_on_rank, args=(folder, run), nprocs=2, start_method="spawn")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").open()]
    steps = [line["metrics"] for line in lines if line["event"] == "step"]
    assert [step["speaker"] for step in steps] == [0.5] * 4, "each rank has one speaker"
    levels = [line["metrics"]["level"] for line in lines if line["event"] == "validated"]
    assert len(levels) == 2
    assert 0.5 < levels[0] < levels[1]


def test_a_sampler_that_breaks_a_rule_is_named_before_the_first_step(folder, tmp_path):
    with pytest.raises(PluginError, match="'turns' of stranger .* neither in a batch nor dropped"):
        trained(tmp_path / "run", experiment_in(folder, max_steps=3, mistake="forgets"))
    assert not checkpoints(tmp_path / "run")
