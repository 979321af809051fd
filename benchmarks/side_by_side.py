"""Helpers for comparisons: our experiments with random weights, interleaved runs in random order, medians.

B batch, N samples.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from attrs import frozen
from rich.console import Console
from rich.table import Table
from torch import Tensor

from allophone.config import Experiment, resolve
from allophone.data.batch import Batch, Padded
from allophone.data.vocabulary import Vocabulary
from allophone.registry import default_registry
from allophone.text.symbols import SymbolTable
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime

OURS = "allophone"
"""Prefix of the names of our contenders."""
SYMBOLS = [f"p{number}" for number in range(80)]
WARM_UP = 2
"""Warm-up rounds."""
REST = 0.1
"""Pause in seconds before each run, since the threads of the previous contender keep spinning for a while."""

Step = Callable[[], object]


@frozen(kw_only=True)
class Timing:
    """A row: milliseconds, the median over the rounds; speed is relative to the best peer."""

    what: str
    threads: int
    contender: str
    milliseconds: float
    speed: float


@frozen(kw_only=True)
class Trained:
    """One of our experiments, with its objective and runtime."""

    experiment: Experiment
    vocabulary: Vocabulary
    objective: Any
    runtime: TrainerRuntime

    def weights(self, prefix: str) -> dict[str, Tensor]:
        """The weights of a module, as in a voice or vocoder."""
        return {
            name: value.clone()
            for name, value in self.objective.modules[prefix].state_dict().items()
        }


def experiment_of(
    recipe: str,
    *changes: str,
    stage: str | None = None,
    device: torch.device = torch.device("cpu"),
) -> Trained:
    """The objective of a recipe in float32, unless changed, with random weights."""
    registry = default_registry()
    changes = ("runtime.precision='fp32'", *changes)
    experiment = resolve(recipe, changes, stage=stage, registry=registry).experiment
    symbols = SymbolTable.from_symbols(SYMBOLS)
    vocabulary = Vocabulary(symbols=symbols, speakers=("one",), languages=("en-us",))
    trainer = registry.entry_of("trainers", experiment.trainer).name
    objective = registry.load("trainers", trainer, "objective")(experiment, vocabulary)
    return Trained(
        experiment=experiment,
        vocabulary=vocabulary,
        objective=objective,
        runtime=TrainerRuntime(objective, experiment.runtime, Rank(device=device)),
    )


def batch_of(features: Mapping[str, Tensor]) -> Batch:
    """A batch without padding from features [B, ...]."""
    rows = len(next(iter(features.values())))
    return Batch(
        ids=tuple(f"utterance-{row}" for row in range(rows)),
        features={
            name: Padded(values=values, lengths=torch.full((rows,), values.size(1)))
            for name, values in features.items()
        },
        speakers=torch.zeros(rows, dtype=torch.long),
        languages=torch.zeros(rows, dtype=torch.long),
        audio_seconds=1.0,
    )


def speech_like(rows: int, samples: int) -> Tensor:
    """Waveforms [B, N] of noise, since silence could be faster to process."""
    return 0.1 * torch.randn(rows, samples)


def measure(
    what: str, steps: Mapping[str, Step], threads: int, rounds: int, clock: Callable[[], float]
) -> list[Timing]:
    """Run the contenders interleaved; the first rounds are warm-up."""
    order = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + WARM_UP):
        for name in order.sample(list(steps), len(steps)):
            time.sleep(REST)
            started = clock()
            steps[name]()
            if turn >= WARM_UP:
                times[name].append(1000 * (clock() - started))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    best = min(median for name, median in medians.items() if not name.startswith(OURS))
    return [
        Timing(
            what=what,
            threads=threads,
            contender=name,
            milliseconds=round(median, 1),
            speed=round(best / median, 2),
        )
        for name, median in medians.items()
    ]


def show(console: Console, title: str, timings: list[Timing], seconds: float | None = None) -> None:
    """Print a table; seconds: duration of the speech, for real-time factors."""
    columns = ["", "threads", "contender", "ms", "times best peer"]
    table = Table(*columns, *(["real time"] if seconds else []), title=title)
    for one in timings:
        row = [one.what, f"{one.threads}", one.contender, f"{one.milliseconds:.1f}"]
        factor = [f"{one.milliseconds / 1000 / seconds:.3f}"] if seconds else []
        table.add_row(*row, f"{one.speed:.2f}", *factor)
    console.print(table)
