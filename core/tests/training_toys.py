"""Toy objectives and data in memory, to train in milliseconds; also a script that trains in a process.

    python training_toys.py RUN [--steps N] [--resume PLACE] [--trainer NAME] [--die-at STEP] [--slow]
        [--processes N] [--workers N] [--devices 0,1]

B batch, L length.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import signal
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from attrs import frozen
from torch import nn

from allophone.config import Experiment
from allophone.config.experiment import DataConfig, KeepConfig, ParametersConfig, RuntimeConfig
from allophone.data.batch import Batch, Padded
from allophone.data.length_buckets import plan_batches
from allophone.data.loader import EpochLoader, Example
from allophone.data.store import FeatureStore
from allophone.data.vocabulary import Vocabulary
from allophone.entries import ModelEntry, TrainerEntry
from allophone.errors import UserError
from allophone.events import RunStarted, SampleAudio, SampleImage, StepFinished, TrainEvent
from allophone.files.run_folder import checkpoints, find_checkpoint
from allophone.files.system_errors import told
from allophone.hookspecs import hookimpl
from allophone.processes.lifetime import ProcessKilledError, ignore_stops
from allophone.registry import Registry, build_registry
from allophone.text.symbols import SymbolTable
from allophone.training import loop
from allophone.training import run as run_module
from allophone.training.checkpoint import write_checkpoint
from allophone.training.claim import claimed
from allophone.training.distributed import local_device, process_group, read_distributed_env
from allophone.training.launch import launch, reported_to_launcher, was_restarted
from allophone.training.loop import train
from allophone.training.objective import OptimizerPlan
from allophone.training.observers import registered
from allophone.training.optimizers import eager, exponential
from allophone.training.ranks import Rank
from allophone.training.signals import stop_on_signals


@frozen(kw_only=True)
class ToyModelConfig:
    """The model that all toys train."""

    hidden: int = 4


@frozen(kw_only=True)
class RegressorConfig:
    """The trainer `toy.regressor`: one optimizer, dropout, an embedding of the symbols."""

    learning_rate: float = 0.05
    dropout: float = 0.0
    fails_at: int = -1


@frozen(kw_only=True)
class GanConfig:
    """The trainer `toy.gan`: two optimizers."""

    learning_rate: float = 0.05
    frozen: bool = True


class RegressorModel(nn.Module):
    """[B, 4] to [B]; the embedding of the symbols moves all of them together."""

    def __init__(self, *, symbols: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.symbols = nn.Embedding(symbols, hidden)
        self.body = nn.Sequential(
            nn.Linear(4, hidden), nn.Tanh(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.body(values)[:, 0] + self.symbols.weight.mean()


class Regressor:
    """Fits `target` [B] to `input` [B, L]."""

    features = ("input", "target")

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        self.config: RegressorConfig = experiment.trainer
        model = RegressorModel(
            symbols=vocabulary.symbols.size,
            hidden=experiment.model.hidden,
            dropout=self.config.dropout,
        )
        self.modules = {"model": model}

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        return {
            "model": OptimizerPlan(
                modules=("model",),
                optimizer=lambda parameters: eager(torch.optim.Adam)(
                    parameters, lr=self.config.learning_rate
                ),
                schedule=exponential(0.9),
                per="epoch",
            )
        }

    def train_step(self, rt: Any, batch: Batch) -> dict[str, Any]:
        with rt.autocast():
            error = (rt["model"](batch["input"].values) - batch["target"].values[:, 0]).float()
        loss = error.square().mean()
        if rt.step == self.config.fails_at:
            loss = loss * float("nan")
        rt.update("model", loss)
        return {"loss": loss, "utterances": float(len(batch))}

    def eval_step(self, rt: Any, batch: Batch) -> dict[str, Any]:
        error = rt["model"](batch["input"].values) - batch["target"].values[:, 0]
        return {"loss": error.square().mean(), "drawn": torch.rand(())}

    def sample(self, rt: Any, batch: Batch) -> dict[str, Any]:
        assert not rt["model"].training
        wave = np.sin(np.arange(800) / 10).astype(np.float32)
        made: dict[str, Any] = {}
        for id in batch.ids:
            made[f"{id}/audio"] = SampleAudio(samples=wave, sample_rate=8000)
            made[f"{id}/mel"] = SampleImage(values=np.outer(np.arange(8.0), np.arange(20.0)))
        return made


@frozen(kw_only=True)
class CountingConfig(RegressorConfig):
    """The trainer `toy.counting`."""


class Counting(Regressor):
    """Trains on some of the utterances only; their number differs between ranks."""

    def train_step(self, rt: Any, batch: Batch) -> dict[str, Any]:
        target = batch["target"].values[:, 0]
        counted = target > 0
        error = rt["model"](batch["input"].values) - target
        loss = rt.mean(error[counted].square().sum(), counted.sum())
        rt.update("model", loss)
        return {"loss": loss, "counted": float(counted.sum())}


class Gan:
    """A generator of `target` from `input`, and a discriminator: the step of the docs."""

    features = ("input", "target")

    def __init__(self, experiment: Experiment, vocabulary: Vocabulary) -> None:
        self.config: GanConfig = experiment.trainer
        self.modules = {
            "model": nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)),
            "discriminator": nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1)),
        }

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        def sgd(parameters: Any) -> torch.optim.Optimizer:
            return eager(torch.optim.SGD)(parameters, lr=self.config.learning_rate)

        return {
            name: OptimizerPlan(modules=(name,), optimizer=sgd)
            for name in ("discriminator", "model")
        }

    def train_step(self, rt: Any, batch: Batch) -> dict[str, Any]:
        real = batch["target"].values
        with rt.autocast():
            fake = rt["model"](batch["input"].values)
            on_real, on_fake = rt["discriminator"](real), rt["discriminator"](fake.detach())
        d_loss = (on_real - 1).square().float().mean() + on_fake.square().float().mean()
        rt.update("discriminator", d_loss)
        with rt.frozen(*(["discriminator"] if self.config.frozen else [])):
            with rt.autocast():
                judged = rt["discriminator"](fake)
            g_loss = (judged - 1).square().float().mean()
            rt.update("model", g_loss)
        return {"d_loss": d_loss, "g_loss": g_loss}

    def eval_step(self, rt: Any, batch: Batch) -> dict[str, Any]:
        return {
            "distance": (rt["model"](batch["input"].values) - batch["target"].values).abs().mean()
        }


def make_batch(ids: list[int]) -> Batch:
    """Utterances whose input and target are computed from their number."""
    inputs = torch.stack(
        [torch.randn(4, generator=torch.Generator().manual_seed(number)) for number in ids]
    )
    lengths = torch.full((len(ids),), 4)
    return Batch(
        ids=tuple(f"u{number}" for number in ids),
        features={
            "input": Padded(values=inputs, lengths=lengths),
            "target": Padded(values=inputs.sum(1, keepdim=True).sin(), lengths=lengths // 4),
        },
        speakers=torch.zeros(len(ids), dtype=torch.int64),
        languages=torch.zeros(len(ids), dtype=torch.int64),
        audio_seconds=2.0 * len(ids),
    )


class MemoryLoader:
    """Stands in for `allophone.data.loader.EpochLoader`, in memory; a rank has every world_size-th row."""

    def __init__(
        self, numbers: list[int], size: int, *, shuffle: bool, rank: int, ranks: int
    ) -> None:
        self.numbers, self.size, self.shuffle, self.rank, self.ranks = (
            numbers,
            size,
            shuffle,
            rank,
            ranks,
        )
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        return len(self.numbers) // self.size

    def __iter__(self) -> Iterator[Batch]:
        order = list(self.numbers)
        if self.shuffle:
            np.random.RandomState(self.epoch).shuffle(order)
        for position in range(self.position, len(self)):
            together = order[position * self.size : (position + 1) * self.size]
            self.position += 1
            yield make_batch(together[self.rank :: self.ranks])
        self.epoch += 1
        self.position = 0

    def preview(self) -> Iterator[Batch]:
        for position in range(len(self)):
            together = self.numbers[position * self.size : (position + 1) * self.size]
            yield make_batch(together[self.rank :: self.ranks])

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


def stored_loader(
    numbers: list[int], size: int, rank: int, ranks: int, workers: int
) -> EpochLoader:
    """The same utterances in a store on the disk, read by workers."""
    folder = Path(tempfile.mkdtemp(prefix="toys-"))
    store = FeatureStore(folder, {})
    batch = make_batch(numbers)
    store.commit(
        {
            f"{id}-{name}": batch[name].values[row].numpy()
            for row, id in enumerate(batch.ids)
            for name in batch.features
        }
    )
    examples = [
        Example(
            id=id,
            features={name: store.find(f"{id}-{name}") for name in batch.features},
            speaker=0,
            language=0,
            seconds=2.0,
        )
        for id in batch.ids
    ]
    plan = plan_batches(
        [2.0] * len(examples), max_length=100, max_items=size, buckets=1, world_size=ranks
    )
    symbols = SymbolTable.from_symbols("abc", blank="_")
    return EpochLoader(
        examples,
        plan,
        symbols,
        rank=rank,
        workers=workers,
        dropped={},
        fingerprint=" ".join(batch.ids),
    )


@frozen(kw_only=True)
class MemoryCorpus:
    """Stands in for `allophone.datasets.loading.Corpus`, in memory."""

    experiment: Experiment
    symbols: str = "abc"
    speakers: tuple[str, ...] = ()
    size: int = 4
    valid: int = 6
    learns_labels: bool = False
    workers: int = 0

    def split(self, split: str) -> tuple[int, ...]:
        return tuple(range(10)) if split == "train" else tuple(range(100, 100 + self.valid))

    def build_vocabulary(self) -> Vocabulary:
        return Vocabulary(
            symbols=SymbolTable.from_symbols(self.symbols, blank="_"), speakers=self.speakers
        )

    def loader(
        self,
        split: str,
        *,
        features: Any,
        vocabulary: Any,
        reject: Any = None,
        rank: int = 0,
        world_size: int = 1,
        weighted: bool = False,
    ) -> MemoryLoader | EpochLoader:
        size = self.size if split == "train" else 3
        if self.workers:
            return stored_loader(
                list(self.split(split)), size // world_size, rank, world_size, self.workers
            )
        return MemoryLoader(
            list(self.split(split)), size, shuffle=split == "train", rank=rank, ranks=world_size
        )


def toy_registry(**others: types.ModuleType) -> Registry:
    """A registry of all installed plugins, the toys, and other plugins."""
    plugin = types.ModuleType("toy_training")
    plugin.CONTRACT = 1  # type: ignore[attr-defined]

    @hookimpl
    def allophone_models() -> Iterator[ModelEntry]:
        yield ModelEntry(
            name="toy.model", summary="-", config="training_toys:ToyModelConfig", synthesizer="x:y"
        )

    @hookimpl
    def allophone_trainers() -> Iterator[TrainerEntry]:
        for name in ("Regressor", "Counting", "Gan"):
            yield TrainerEntry(
                name=f"toy.{name.lower()}",
                summary="-",
                config=f"training_toys:{name}Config",
                objective=f"training_toys:{name}",
                trains="toy.model",
                inference_module="model",
            )

    plugin.allophone_models = allophone_models  # type: ignore[attr-defined]
    plugin.allophone_trainers = allophone_trainers  # type: ignore[attr-defined]
    return build_registry({"toy_training": plugin, **others})


def make_experiment(trainer: Any = None, hidden: int = 4, **runtime: Any) -> Experiment:
    """An experiment of a toy; `runtime` are the values of its table [runtime]."""
    plain = {
        "log_every": 1,
        "validate_every": 1000,
        "sample_every": 1000,
        "checkpoint_every": 1000,
        "keep": KeepConfig(last=100),
        **runtime,
    }
    return Experiment(
        data=DataConfig(directory="nowhere"),
        model=ToyModelConfig(hidden=hidden),
        trainer=trainer or RegressorConfig(),
        runtime=RuntimeConfig(**plain),
    )


def make_corpus(
    experiment: Experiment, _: Registry | None = None, *, workers: int = 0
) -> MemoryCorpus:
    """Stands in for `open_corpus`."""
    return MemoryCorpus(experiment=experiment, workers=workers)


class Recorder:
    """Records the events of a run."""

    def __init__(self) -> None:
        self.events: list[TrainEvent] = []

    @hookimpl
    def allophone_train_event(self, event: TrainEvent) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def losses(self) -> list[float]:
        return [event.metrics["loss"] for event in self.of(StepFinished)]


def train_toy(
    folder: Path,
    experiment: Experiment,
    *,
    registry: Registry,
    rank: Rank | None = None,
    **how: Any,
) -> Recorder:
    """Train in this process; what `open_run` takes as `resume` and `finetune` is passed on."""
    recorder = Recorder()
    run = run_module.open_run(folder, experiment, rank=rank or Rank(), registry=registry, **how)
    with registered(registry, recorder):
        train(run)
    return recorder


class Dies:
    """Sends SIGKILL to its own process when a step is finished."""

    def __init__(self, step: int) -> None:
        self.step = step

    @hookimpl
    def allophone_train_event(self, event: TrainEvent) -> None:
        if isinstance(event, StepFinished) and event.step == self.step and not was_restarted():
            os.kill(os.getpid(), signal.SIGKILL)


class Slow:
    """Prints every step to standard output, and slows the run down."""

    @hookimpl
    def allophone_train_event(self, event: TrainEvent) -> None:
        if isinstance(event, RunStarted | StepFinished):
            sys.stdout.write(f"step {event.step}\n")
            sys.stdout.flush()
            time.sleep(0.05)


def write_slowly(seconds: float, *what: Any) -> Any:
    """`write_checkpoint`, on a slow disk."""
    time.sleep(seconds)
    return write_checkpoint(*what)


@contextmanager
def in_memory(workers: int = 0) -> Iterator[None]:
    """Let runs be opened on data in memory, or on the same data on the disk, read by workers."""
    before = run_module.open_corpus
    run_module.open_corpus = functools.partial(make_corpus, workers=workers)  # type: ignore[assignment]
    try:
        yield
    finally:
        run_module.open_corpus = before


def script_experiment(trainer: Any, steps: int | None, **runtime: Any) -> Experiment:
    """The experiment that the script trains."""
    return make_experiment(trainer, max_steps=steps, checkpoint_every=4, ema_decay=0.9, **runtime)


def main() -> None:
    """Train as a program of its own; errors of the system are told as the command line does."""
    try:
        _main()
    except ProcessKilledError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(str(told(error)))
    except RuntimeError as error:
        refused = told(error)
        if refused is None:
            raise
        sys.exit(str(refused))
    ignore_stops()


def _main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--steps", type=int)
    arguments.add_argument("--trainer", default="regressor")
    arguments.add_argument("--dropout", type=float, default=0.0)
    arguments.add_argument("--fails-at", type=int, default=-1)
    arguments.add_argument("--fails-on-rank", type=int)
    arguments.add_argument("--processes", type=int, default=1)
    arguments.add_argument("--devices", default="cpu")
    arguments.add_argument("--resume", type=Path)
    arguments.add_argument("--die-at", type=int)
    arguments.add_argument("--slow", action="store_true")
    arguments.add_argument("--slow-save", type=float, default=0.0)
    arguments.add_argument("--workers", type=int, default=0)
    arguments.add_argument("--max-restarts", type=int, default=0)
    arguments.add_argument("--frozen-until", nargs=2, metavar=("PARAMETERS", "STEP"))
    given = arguments.parse_args()
    logging.basicConfig(level=logging.WARNING)
    env = read_distributed_env()
    if env is None and (given.processes > 1 or given.max_restarts):
        try:
            launch([sys.executable, *sys.argv], given.processes, max_restarts=given.max_restarts)
        except UserError as error:
            sys.exit(str(error))
        return
    device = local_device(env, given.devices) if env else torch.device("cpu")
    with stop_on_signals() as stop, reported_to_launcher():
        if was_restarted() and checkpoints(given.run):
            given.resume = given.run
        checkpoint = find_checkpoint(given.resume) if given.resume else None
        with process_group(env, device) as rank, in_memory(given.workers):
            fails_here = given.fails_on_rank in (None, rank.index)
            trainer: Any = GanConfig()
            if given.trainer == "regressor":
                fails_at = given.fails_at if fails_here else -1
                trainer = RegressorConfig(dropout=given.dropout, fails_at=fails_at)
            elif given.trainer == "counting":
                trainer = CountingConfig()
            rules = {}
            if given.frozen_until:
                match, step = given.frozen_until
                rules["parameters"] = (ParametersConfig(match=match, frozen_until=int(step)),)
            experiment = script_experiment(trainer, given.steps, **rules)
            registry = toy_registry()
            observers: list[object] = [Dies(given.die_at)] if given.die_at else []
            observers += [Slow()] if given.slow else []
            loop.write_checkpoint = functools.partial(write_slowly, given.slow_save)
            with (
                claimed(given.run, checkpoint) if rank.is_main else nullcontext(),
                registered(registry, *observers),
            ):
                run = run_module.open_run(
                    given.run, experiment, rank=rank, registry=registry, resume=checkpoint
                )
                train(run, stop)


def import_no_compiler() -> None:
    """Put a stand-in in the place of torch._dynamo, whose import is half of the time of a short run.

    DistributedDataParallel imports it, although nothing is compiled here.
    """
    compiler = MagicMock()
    compiler.disable = lambda function, recursive=True, wrapping=True: function
    sys.modules["torch._dynamo"] = torch._dynamo = compiler


if __name__ == "__main__":
    from training_toys import import_no_compiler as import_no_compiler_of_module
    from training_toys import main as main_of_module

    import_no_compiler_of_module()
    main_of_module()
