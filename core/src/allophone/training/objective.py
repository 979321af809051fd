"""Protocols of training: the objective, which a plugin implements, and the runtime, which it calls.

An objective holds the modules and implements one training step, in plain PyTorch and with the methods of
the runtime:

    def train_step(self, rt, batch):
        with rt.autocast():
            fake = rt["generator"](batch)
            d_loss = discriminator_loss(rt["discriminator"], real, fake.detach())
        rt.update("discriminator", d_loss)
        with rt.frozen("discriminator"), rt.autocast():
            g_loss = generator_loss(rt["discriminator"], real, fake)
        rt.update("generator", g_loss)
        return {"discriminator_loss": d_loss, "generator_loss": g_loss}

The trainer does the rest: devices, ranks, precision, gradient accumulation and clipping, schedules, EMA,
checkpoints, logs and signals. There is no base class.
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
"""Scalars by name. Tensors are copied from the device only when they are logged."""


Schedule = Callable[[int], float]
"""Maps a number of finished steps or epochs to a factor for the learning rate; see
`allophone.training.optimizers`."""


@frozen(kw_only=True)
class OptimizerPlan:
    """An optimizer for some modules; `allophone.training.optimizers.adamw` makes the usual one.

    modules: names of the objective's modules to optimize.
    optimizer: `(parameters) -> torch.optim.Optimizer`.
    schedule: learning rate schedule, or None.
    per: whether the schedule counts optimizer steps or epochs.
    clip_norm: maximum gradient norm; None uses `runtime.clip_norm` of the config.
    """

    modules: tuple[str, ...]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    schedule: Schedule | None = None
    per: Literal["step", "epoch"] = "step"
    clip_norm: float | None = None


class Runtime(Protocol):
    """The methods that a training step can call."""

    @property
    def step(self) -> int:
        """Number of optimizer steps so far."""
        ...

    @property
    def device(self) -> torch.device: ...

    def __getitem__(self, module: str) -> nn.Module:
        """Return a module of the objective, on its device, wrapped in DDP and compiled as configured."""
        ...

    def autocast(self) -> AbstractContextManager[None]:
        """Context manager for autocast in the precision of the run."""
        ...

    def update(self, optimizer: str, loss: Tensor) -> None:
        """Backpropagate a scalar loss; after the last accumulated batch, clip and step the optimizer.

        Raises FloatingPointError, with the ids of the batch, if the loss or a gradient is not finite.
        """
        ...

    def mean(self, total: Tensor, count: Tensor) -> Tensor:
        """Return the mean of a loss over all ranks, for items whose number differs between ranks (frames).

        total: sum of the loss on this rank, a scalar with gradients.
        count: number of items on this rank.

        Gradients are averaged over ranks, so a mean per rank would give items more weight on a rank with
        fewer of them. Returns 0 if no rank has items. Collective: every rank must call it.
        """
        ...

    def frozen(self, *modules: str) -> AbstractContextManager[None]:
        """Context manager in which gradients flow through these modules, but not to their parameters."""
        ...


class Objective(Protocol):
    """The training objective of a model.

    features: names of the features that a batch must hold, as in the `[features]` table.
    modules: all modules with parameters; their names are the prefixes of the weights in checkpoints.

    An objective can have further methods, which the trainer looks up with `optional`:

    sample(rt: Runtime, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]
        Returns audio, mels and alignments of a validation batch by name, such as "LJ001-0001/audio", as NumPy
        arrays. Called without gradients and in eval mode.

    reject(lengths: Mapping[str, int]) -> Dropped | None
        Returns why an utterance cannot be trained on, or None. Rejected utterances are dropped and reported.
        The lengths are those of the features in a batch: samples of "waveform", ids of "phonemes".

    segment_samples: int
        Samples of the piece of each recording that a step learns from, where it is not the whole one. A run
        is refused where the longest training utterance has less than half of it.

    calibrate(batches: Iterable[Batch]) -> None, with calibration_features: tuple[str, ...]
        Computes statistics of the whole training split, on the CPU, and stores them in buffers of the
        modules. The batches hold only `calibration_features`. Called at the start of a run, on every rank with
        the same batches, but not on resuming. In fine-tuning, the statistics of the source replace them.

    adapt(weights: Mapping[str, Tensor], batches: Iterable[Batch]) -> Mapping[str, Adapted]
        Computes tensors for fine-tuning from source weights that do not fit by name and shape. The weights
        are those of the source, by "module.parameter"; the batches are from the training split, on the CPU,
        the same on every rank, and loaded lazily. Returns tensors by "module.parameter" of this objective.
    """

    @property
    def features(self) -> tuple[str, ...]: ...

    @property
    def modules(self) -> Mapping[str, nn.Module]: ...

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        """Return the optimizers by name; a GAN has two."""
        ...

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Compute the losses, call `rt.update` once for each optimizer, and return metrics to log."""
        ...

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        """Return the validation metrics of a batch; called without gradients and in eval mode."""
        ...


def optional(
    objective: Objective,
    part: Literal[
        "adapt", "calibrate", "calibration_features", "reject", "sample", "segment_samples"
    ],
) -> Any:
    """Return an optional attribute of an `Objective`, or None."""
    return getattr(objective, part, None)


@frozen(kw_only=True)
class Adapted:
    """A tensor for fine-tuning that was computed, or copied from another name.

    tensor: the value for the model.
    source: name of the source tensor that it was made from, or None.
    how: a short description for the report.
    """

    tensor: Tensor
    source: str | None = None
    how: str
