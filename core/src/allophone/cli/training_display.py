"""Displays a training run: a progress bar on a terminal, log lines otherwise."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from allophone.events import (
    CheckpointSaved,
    RunFinished,
    RunStarted,
    StepFinished,
    TrainEvent,
    Validated,
)
from allophone.hookspecs import hookimpl

_HIDDEN = ("gradient_norm/", "learning_rate/", "loss_scale")
"""Prefixes of metrics that are logged but not displayed, for lack of space."""


class StatusHandler(logging.Handler):
    """Prints log records to a rich console; a message may be any rich renderable."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        warned = record.levelno >= logging.WARNING
        drawn = record.getMessage() if record.args or warned else record.msg
        style = "yellow" if warned else None
        self._console.print(drawn, style=style, markup=False, soft_wrap=isinstance(drawn, str))


class TrainingDisplay:
    """A training observer that shows steps, validation and checkpoints."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("Training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    @hookimpl
    def allophone_train_event(self, event: TrainEvent) -> None:
        if isinstance(event, RunStarted):
            self._task = self._progress.add_task(
                "", total=event.max_steps, completed=event.step, metrics=""
            )
            self._progress.start()
        elif isinstance(event, StepFinished):
            speed = event.throughput
            line = (
                f"{_line(event.metrics)}  {speed['steps']:.2f} steps/s, "
                f"{speed['audio_seconds']:.0f} s of audio/s"
            )
            if self._console.is_terminal and self._task is not None:
                self._progress.update(self._task, completed=event.step, metrics=line)
            else:
                self._print(f"Step {event.step}: {line}")
        elif isinstance(event, Validated):
            self._print(f"Validation at step {event.step}: {_line(event.metrics)}")
        elif isinstance(event, CheckpointSaved):
            self._print(f"Saved {event.path}")
        elif isinstance(event, RunFinished):
            self._progress.stop()

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


def _line(metrics: Mapping[str, float]) -> str:
    shown = {name: value for name, value in metrics.items() if not name.startswith(_HIDDEN)}
    return "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
