"""The training loop: load, step, log, validate, sample, save."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice

from allophone.config import unstructure
from allophone.data.batch import Batch
from allophone.errors import UserError, near_miss
from allophone.events import (
    CheckpointSaved,
    RunFinished,
    RunStarted,
    SampleAudio,
    SampleImage,
    SamplesMade,
    StepFinished,
    TrainEvent,
    Validated,
)
from allophone.files.system_errors import told as told_by_system
from allophone.processes.lifetime import ProcessKilledError
from allophone.training.checkpoint import prune, write_checkpoint
from allophone.training.meter import AverageMeter, SpeedMeter
from allophone.training.scoring import check_names, named_metrics
from allophone.training.seeding import deterministic_on_cpu
from allophone.training.signals import StopRequest, stop_on_signals
from allophone.training.state import Run

_log = logging.getLogger(__name__)

Samples = dict[str, SampleAudio | SampleImage]


def train(run: Run, stop: StopRequest | None = None) -> str:
    """Train from the current state of the run until its last step, a signal, or an error.

    stop: request to stop by a signal; None to handle signals during the training.
    Returns why training ended, "max_steps", "early_stop" or "signal", after saving a checkpoint.
    """
    if stop is None:
        with stop_on_signals() as request:
            return train(run, request)
    stop.heeded = True
    if not run.rank.is_main:
        return _Loop(run, stop).go()
    from allophone.training.observers import (
        MetricsFile,
        TensorBoard,
        registered,
        system_errors_of_threads_logged,
    )

    with (
        registered(run.registry, MetricsFile(), TensorBoard()),
        system_errors_of_threads_logged(),
    ):
        return _Loop(run, stop).go()


class _Loop:
    def __init__(self, run: Run, stop: StopRequest) -> None:
        self.run = run
        self.stop = stop
        self.config = run.experiment.runtime
        self.means = AverageMeter()
        self.speed = SpeedMeter()
        self.model: str = run.registry.entry_of("trainers", run.experiment.trainer).trains
        self.failures: set[tuple[str, type[Exception]]] = set()

    def go(self) -> str:
        run = self.run
        plain = unstructure(run.experiment, registry=run.registry)
        self._notify(RunStarted, config=plain, max_steps=self.config.max_steps)
        try:
            with deterministic_on_cpu(run.rank.device):
                reason = self._train()
        except BaseException as error:
            self._notify(RunFinished, reason=f"{type(error).__name__}: {error}")
            raise
        self._notify(RunFinished, reason=reason)
        return reason

    def _train(self) -> str:
        self._check_metrics()
        runtime = self.run.runtime
        for batches in self._micro_batches():
            for metrics in runtime.take_step(batches):
                self.means.add(metrics)
            self.speed.add(batches)
            if self.run.average:
                self.run.average.update(runtime.step)

            reason = self._reason_to_end()
            if reason or self._due(self.config.log_every):
                self._report()
            with self.speed.paused():
                saving = reason is not None or self._due(self.config.checkpoint_every)
                needs_metric = saving and self.config.keep.best_metric is not None
                validating = needs_metric or self._due(self.config.validate_every)
                sampling = self._due(self.config.sample_every)
                samples = self._samples() if sampling or (validating and self.run.scores) else {}
                if validating:
                    stale = self._validate(samples)
                    reason = reason or ("early_stop" if stale else None)
                if sampling and samples:
                    self._notify(SamplesMade, samples=samples)
                if saving or reason:
                    self._save()
            if reason:
                return reason
        raise AssertionError("unreachable: the number of epochs is unlimited")

    def _micro_batches(self) -> Iterator[list[Batch]]:
        """Yield the micro-batches of each step; a step can span two epochs, so no batch is left out."""
        epochs = iter(lambda: self.run.train, None)
        batches = (batch for epoch in epochs for batch in epoch)
        while True:
            micro_batches = list(islice(batches, self.config.accumulate))
            self.run.runtime.epoch = self.run.train.epoch
            yield micro_batches

    def _due(self, every: int) -> bool:
        return self.run.runtime.step % every == 0

    def _reason_to_end(self) -> str | None:
        # All ranks must stop at the same step, even if only one got the signal.
        if self.run.rank.any(bool(self.stop)):
            return "signal"
        limit = self.config.max_steps
        return "max_steps" if limit is not None and self.run.runtime.step >= limit else None

    def _report(self) -> None:
        self._notify(
            StepFinished,
            epoch=self.run.train.epoch,
            metrics=self.means.collect(self.run.rank),
            throughput=self.speed.collect(self.run.rank),
        )

    def _check_metrics(self) -> None:
        """Report a misspelt metric before the first step, not at the first checkpoint."""
        run = self.run
        named = named_metrics(self.config)
        if run.valid is None or set(named.values()) <= run.scores.keys():
            return
        with run.evaluating():
            known = run.runtime.evaluate(next(run.valid.preview()))
        for setting, name in named.items():
            if name not in known and name not in run.scores:
                raise UserError(
                    f"{setting} is '{name}', which is not a validation metric.",
                    hint=near_miss(name, [*known, *run.scores]),
                )

    def _validate(self, samples: Samples) -> bool:
        """Validate; returns whether the metric of `early_stop` has stopped improving."""
        run = self.run
        if run.valid is None:
            return False
        means, scores = AverageMeter(), {}
        with run.evaluating():
            for batch in run.valid:
                means.add(run.runtime.evaluate(batch), weight=len(batch))
            if run.scorer:
                scores = run.scorer.score(samples)
        metrics = means.collect(run.rank)
        check_names(run.scores, metrics)
        run.validation = metrics | run.rank.gather(scores)[0]
        self._notify(Validated, metrics=run.validation)
        return run.early_stop is not None and run.early_stop.update(run.validation)

    def _samples(self) -> Samples:
        """Return samples of some validation utterances, on rank 0."""
        run = self.run
        samples: Samples = {}
        with run.evaluating():
            for batch in run.samples:
                samples |= run.runtime.sample(batch)
        return samples

    def _save(self) -> None:
        run = self.run
        snapshot = run.snapshot()
        if run.rank.is_main:
            checkpoint = write_checkpoint(run.folder, run.runtime.step, snapshot, run.registry)
            best = run.scores.get(self.config.keep.best_metric or "")
            prune(
                run.folder, self.config.keep, best=max if best and best.better == "higher" else min
            )
            self._notify(CheckpointSaved, path=checkpoint.path)

    def _notify(self, event: type[TrainEvent], **fields: object) -> None:
        """Send an event to the observers, on rank 0.

        A failing observer does not stop the run; each type of error is logged once per observer.
        """
        if not self.run.rank.is_main:
            return
        step = self.run.runtime.step
        created = event(run=self.run.folder, step=step, model=self.model, **fields)
        for failure in self.run.registry.notify(created):
            kind = (failure.observer, type(failure.error))
            if kind not in self.failures:
                self.failures.add(kind)
                refused = told_by_system(failure.error)
                if isinstance(refused, ProcessKilledError):
                    # PyTorch raises this wherever the process happens to be.
                    raise refused from failure.error
                _log.warning(
                    "The observer %s failed on %s at step %d; training continues: %s",
                    failure.observer,
                    event.__name__,
                    step,
                    refused.message if refused else failure,
                    exc_info=None if refused else failure.error,
                )
