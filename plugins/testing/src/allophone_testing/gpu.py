"""What the contracts of trainers, synthesizers and vocoders check on a GPU; without one, these tests are skipped.

Synthesis draws its noise row by row on the CPU, so a voice says the same on every device. Training draws on the
device, so a run on a GPU has other random numbers, and only has to learn too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from attrs import evolve
from torch import Tensor

from allophone.config import Experiment
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.registry import Registry
from allophone.training.objective import Metrics
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone.training.seeding import fork_rng
from allophone_testing.experiment import build_objective

GPU = torch.device("cuda:0")
Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")

APART = 1e-3
"""By how much a GPU may differ from the CPU in float32, in samples between -1 and 1 or in units of the mel."""


@contextmanager
def without_tf32() -> Iterator[None]:
    """Context manager without TensorFloat-32, whose products have ten bits."""
    backends: tuple[Any, ...] = torch.backends.cudnn, torch.backends.cuda.matmul
    allowed = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, value in zip(backends, allowed, strict=True):
            backend.allow_tf32 = value


def first_and_last(
    experiment: Experiment,
    vocabulary: Vocabulary,
    registry: Registry,
    batch: Batch,
    *,
    precision: Precision,
    steps: int,
) -> tuple[Metrics, Metrics]:
    """The validation metrics of a batch before and after some steps on it, on a GPU."""
    config = evolve(experiment.runtime, precision=precision)
    objective = build_objective(experiment, vocabulary, registry)
    runtime = TrainerRuntime(objective, config, Rank(device=GPU))
    metrics = []
    for count in (steps, 0):
        with runtime.evaluating(), fork_rng(0):
            metrics.append(runtime.evaluate(batch))
        for _ in range(count):
            runtime.take_step([batch])
    return metrics[0], metrics[1]


def distance(name: str, one: Tensor, other: Tensor) -> float:
    """By how much two rows of the same shape differ."""
    assert one.shape == other.shape, (
        f"{name}: {list(one.shape)} on the CPU and {list(other.shape)} on a GPU. Draw noise from generators of the "
        "CPU with each row's own seed, and predict durations in float32."
    )
    return float((one - other).abs().max())
