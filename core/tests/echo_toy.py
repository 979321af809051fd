"""A model, a metric and a batch sampler of a stranger, in a module that other processes can import.

B batch, N samples.
"""

from __future__ import annotations

import types

import torch
from attrs import frozen
from test_batch_samplers import TURNS
from torch import nn

from allophone.config import Experiment, structure
from allophone.entries import MetricEntry, ModelEntry, Score, TrainerEntry
from allophone.events import SampleAudio
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone.training.distributed import DistributedEnv, process_group
from allophone.training.loop import train
from allophone.training.objective import OptimizerPlan
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


def train_on_rank(rank, folder, run):
    torch.set_num_threads(1)
    meeting = run.with_name("meeting").as_uri()
    env = DistributedEnv(rank=rank, local_rank=rank, world_size=2, init_method=meeting)
    experiment = experiment_in(folder, max_steps=4, validate_every=2, checkpoint_every=2)
    with process_group(env, torch.device("cpu")) as joined:
        opened = open_run(run, experiment, rank=joined, registry=stranger())
        train(opened)
        assert "level" in opened.validation, "every rank knows the scores"
