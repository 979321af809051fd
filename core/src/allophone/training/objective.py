"""What a plugin writes to train its model, and what the runtime offers it.

An objective holds modules and says what one step is, in plain PyTorch and with a handful of verbs:

    def train_step(self, rt, batch):
        with rt.autocast():
            fake = rt["generator"](batch)
            d_loss = discriminator_loss(rt["discriminator"], real, fake.detach())
        rt.update("discriminator", d_loss)
        with rt.frozen("discriminator"), rt.autocast():
            g_loss = generator_loss(rt["discriminator"], real, fake)
        rt.update("generator", g_loss)
        return {"discriminator_loss": d_loss, "generator_loss": g_loss}

Everything else (devices, ranks, precision, accumulation, clipping, schedules, averages, checkpoints,
logs, signals) is the runtime's. There is no class to inherit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone.data.batch import Batch

Metrics = Mapping[str, Tensor | float]
"""Scalars by name. Tensors are read off the device only when they are logged."""


Schedule = Callable[[int], float]
"""The factor on the learning rate after so many steps or epochs; see `allophone.training.optimizers`."""


@frozen(kw_only=True)
class OptimizerPlan:
    """How some modules are optimised; `allophone.training.optimizers.adamw` makes the usual one.

    modules: names of the objective's modules whose parameters these are.
    optimizer: `(parameters) -> torch.optim.Optimizer`.
    schedule: of the learning rate, or None. per: whether it counts optimizer steps or epochs.
    clip_norm: overrides the runtime's own; None leaves that as it is.
    """

    modules: tuple[str, ...]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    schedule: Schedule | None = None
    per: Literal["step", "epoch"] = "step"
    clip_norm: float | None = None


class Runtime(Protocol):
    """The verbs that a step is written with."""

    @property
    def step(self) -> int:
        """Optimizer steps taken so far."""
        ...

    @property
    def device(self) -> torch.device: ...

    def __getitem__(self, module: str) -> nn.Module:
        """The objective's module as it is run: on its device, under DDP, compiled, or none of it."""
        ...

    def autocast(self) -> AbstractContextManager[None]:
        """Run what is inside in the run's precision."""
        ...

    def update(self, optimizer: str, loss: Tensor) -> None:
        """Go backward through a scalar loss and, when enough batches are accumulated, step that optimizer.

        Raises FloatingPointError naming the batch when the loss or a gradient is not finite.
        """
        ...

    def mean(self, total: Tensor, count: Tensor) -> Tensor:
        """A loss that is a mean over what counts on all ranks, such as codes or frames of which each rank
        has another number.

        total: summed over what counts on this rank, a scalar with gradients; count: how many that is.
        Gradients are averaged over ranks, so with a mean of its own each item would count for more on a
        rank that has fewer of them. 0 where nothing counts anywhere; every rank must ask.
        """
        ...

    def frozen(self, *modules: str) -> AbstractContextManager[None]:
        """Let gradients pass through these modules without reaching their parameters."""
        ...


class Objective(Protocol):
    """A model's training, as the runtime sees it.

    features: names of the stored features that a batch must carry, as in the `[features]` table.
    modules: everything that has parameters; their names are the prefixes of the checkpoint's weights.

    What an objective may have beside its four methods; `optional` asks for it:

    sample(rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]
        Audio, mels and alignments of a validation batch by name, such as "LJ001-0001/audio"; NumPy arrays
        on the CPU. Called without gradients and in eval mode.

    reject(lengths: Mapping[str, int]) -> Dropped | None
        Why an utterance cannot be learned from, or None. It is left out of the batches, counted and named.
        The lengths are those of the features as they come in a batch: samples of "waveform", ids of
        "phonemes".

    calibrate(batches: Iterable[Batch]) -> None, with calibration_features: tuple[str, ...]
        Take statistics of the whole training split, on the CPU, into buffers of the modules. The batches
        carry `calibration_features` alone, which are as few as will do. Called when a run begins, on every
        rank with the same batches; never when one is resumed. What is fine-tuned keeps the statistics that
        its weights were trained with.

    adapt(weights: Mapping[str, Tensor], batches: Iterable[Batch]) -> Mapping[str, Adapted]
        What to begin fine-tuning with beside the weights of a source that fit by name and shape. The
        weights are the source's, by "module.parameter"; the batches are of the training split, on the CPU,
        to look at as many as it takes; every rank is given the same. Returns tensors by the names of this
        objective's modules, in the same form as the weights.
    """

    @property
    def features(self) -> tuple[str, ...]: ...

    @property
    def modules(self) -> Mapping[str, nn.Module]: ...

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """The optimizers by name; a GAN has two."""
        ...

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """One step: losses, and an `rt.update` for each optimizer."""
        ...

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """The validation metrics of a batch; called without gradients and in eval mode."""
        ...


def optional(
    objective: Objective,
    part: Literal["adapt", "calibrate", "calibration_features", "reject", "sample"],
) -> Any:
    """One of the parts that an `Objective` may have; None where it has it not."""
    return getattr(objective, part, None)


@frozen(kw_only=True)
class Adapted:
    """A tensor to begin fine-tuning with that was made, or is taken from another name.

    tensor: as the model has it. source: the name of the source's tensor that it replaces, None where it is
    of none. how: what was done, in a few words, for the report.
    """

    tensor: Tensor
    source: str | None = None
    how: str
