"""The trainer's own observers: `metrics.jsonl` and TensorBoard.

They are registered for the duration of a run, with the same hook as the observers of plugins.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from allophone.errors import UserError
from allophone.events import (
    CheckpointSaved,
    RunFinished,
    RunStarted,
    SampleAudio,
    SamplesMade,
    StepFinished,
    TrainEvent,
    Validated,
)
from allophone.files.atomic import atomic_write
from allophone.files.parsing import parse_json_object
from allophone.files.run_folder import METRICS, TENSORBOARD
from allophone.files.system_errors import told
from allophone.hookspecs import hookimpl
from allophone.registry import Registry

_log = logging.getLogger(__name__)

# Dark blue, green, yellow: brightness increases monotonically, so images stay readable in grayscale.
_COLORS = np.array(
    [
        [0.27, 0.00, 0.33],
        [0.23, 0.32, 0.55],
        [0.13, 0.57, 0.55],
        [0.37, 0.79, 0.38],
        [0.99, 0.91, 0.14],
    ]
)


class MetricsFile:
    """Writes metrics to `metrics.jsonl`, one JSON object per line, flushed after each line.

    Numbers have full precision. When a run resumes, the lines of later steps are removed, because these
    steps are repeated.
    """

    @hookimpl
    def allophone_train_event(self, event: TrainEvent) -> None:
        path = event.run / METRICS
        if isinstance(event, RunStarted):
            _truncate_after(path, event.step)
        elif isinstance(event, StepFinished):
            _append(
                path,
                {
                    "event": "step",
                    "step": event.step,
                    "epoch": event.epoch,
                    "metrics": _finite(event.metrics),
                    "throughput": _finite(event.throughput),
                },
            )
        elif isinstance(event, Validated):
            _append(
                path,
                {"event": "validated", "step": event.step, "metrics": _finite(event.metrics)},
            )


class TensorBoard:
    """Writes scalars, audio and images to the folder `tensorboard` of the run."""

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    @hookimpl
    def allophone_train_event(self, event: TrainEvent) -> None:
        if isinstance(event, RunStarted):
            # Hide what an earlier process wrote for later steps, which are repeated.
            self._writer = SummaryWriter(event.run / TENSORBOARD, purge_step=event.step + 1)
        writer = self._writer
        if writer is None:
            return
        if isinstance(event, StepFinished):
            self._scalars("train", event.metrics, event.step)
            self._scalars("throughput", event.throughput, event.step)
            writer.add_scalar("train/epoch", event.epoch, event.step)
        elif isinstance(event, Validated):
            self._scalars("valid", event.metrics, event.step)
        elif isinstance(event, SamplesMade):
            for name, sample in event.samples.items():
                if isinstance(sample, SampleAudio):
                    samples = np.asarray(sample.samples, dtype=np.float32)[None]
                    writer.add_audio(name, samples, event.step, sample_rate=sample.sample_rate)
                else:
                    image = colorize(np.asarray(sample.values, dtype=np.float64))
                    writer.add_image(name, image, event.step, dataformats="HWC")
        elif isinstance(event, CheckpointSaved):
            writer.flush()
        elif isinstance(event, RunFinished):
            writer.close()
            self._writer = None

    def _scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        assert self._writer is not None
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)


@contextmanager
def registered(registry: Registry, *observers: object) -> Iterator[None]:
    """Context manager in which observers get the events of runs."""
    for observer in observers:
        registry.hooks.register(observer)
    try:
        yield
    finally:
        for observer in observers:
            registry.hooks.unregister(observer)


@contextmanager
def system_errors_of_threads_logged() -> Iterator[None]:
    """Warn of a full disk that a thread of TensorBoard meets, where Python would print a traceback."""
    before = threading.excepthook

    def log(failure: threading.ExceptHookArgs) -> None:
        refused = told(failure.exc_value) if failure.exc_value else None
        if refused:
            _log.warning("TensorBoard's files are not written any more: %s", refused.message)
        else:
            before(failure)

    threading.excepthook = log
    try:
        yield
    finally:
        threading.excepthook = before


def colorize(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Map a mel or an alignment [H, W] to an RGB image [H, W, 3], with the first row at the bottom."""
    low, high = float(values.min()), float(values.max())
    brightness = (values[::-1] - low) / max(high - low, 1e-12)
    stops = np.linspace(0, 1, len(_COLORS))
    channels = [np.interp(brightness, stops, _COLORS[:, channel]) for channel in range(3)]
    return (np.stack(channels, axis=-1) * 255).astype(np.uint8)


def _append(path: Path, line: Mapping[str, Any]) -> None:
    # Unbuffered: what a full disk has cut off is taken back, and the next line begins on its own.
    with path.open("ab", buffering=0) as file:
        end = file.tell()
        try:
            written = json.dumps(line, allow_nan=False).encode() + b"\n"
            if file.write(written) < len(written):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(end)
            raise


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Replace NaN and infinity, which JSON does not have, with null."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _truncate_after(path: Path, step: int) -> None:
    """Remove the lines of later steps, and an incomplete last line."""
    if not path.exists():
        return
    complete = path.read_bytes().split(b"\n")[:-1]
    kept = [line for number, line in enumerate(complete, 1) if _step(line, path, number) <= step]
    with atomic_write(path) as file:
        file.writelines(line + b"\n" for line in kept)


def _step(line: bytes, path: Path, number: int) -> int:
    hint = "Remove the line, or move the file away; the run starts a new one."
    found = parse_json_object(line, f"{path}:{number}", hint=hint).get("step")
    if type(found) is not int:
        raise UserError(f"{path}:{number} has no step, a whole number.", hint=hint)
    return found
