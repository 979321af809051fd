"""What happens in a training run, as records for the hook `allophone_train_event`.

A resumed run begins with `RunStarted` at the step of its checkpoint. Nothing that was sent up to that
step is sent again; the steps after it, if the earlier process took any, are taken again, and their
events are sent again.

Light: the arrays in `SamplesMade` are whatever the runtime hands over (NumPy); nothing is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class TrainEvent:
    """What all events have.

    run: the folder of the run.
    step: the optimizer step that the event belongs to; 0 before the first.
    model: the type of the model or vocoder that is trained, as in `[model]` or `[vocoder]`.
    """

    run: Path
    step: int
    model: str


@frozen(kw_only=True)
class RunStarted(TrainEvent):
    """The run begins, at step 0, or goes on after a resume, at the step of the checkpoint.

    config: the complete resolved experiment, as plain data.
    max_steps: the step at which it will end, None where it has no such limit.
    """

    config: Mapping[str, Any]
    max_steps: int | None


@frozen(kw_only=True)
class StepFinished(TrainEvent):
    """Sent every `log_every` steps with values averaged over ranks since the last one.

    metrics: losses, gradient norms, learning rates by name.
    throughput: "steps", "utterances" and "audio_seconds" a second, and "peak_memory_bytes".
    """

    epoch: int
    metrics: Mapping[str, float]
    throughput: Mapping[str, float]


@frozen(kw_only=True)
class Validated(TrainEvent):
    """The validation split was gone through; `metrics` are its means."""

    metrics: Mapping[str, float]


@frozen(kw_only=True)
class SampleAudio:
    """A waveform to listen to: samples float32 [N]."""

    samples: Any
    sample_rate: int


@frozen(kw_only=True)
class SampleImage:
    """A picture to look at, such as a mel [M, F] or an alignment [T, F]: values [height, width]."""

    values: Any


@frozen(kw_only=True)
class SamplesMade(TrainEvent):
    """What the model makes of some validation utterances, by a name such as "LJ001-0001/audio"."""

    samples: Mapping[str, SampleAudio | SampleImage]


@frozen(kw_only=True)
class CheckpointSaved(TrainEvent):
    """A checkpoint was written, whole, at `path`."""

    path: Path


@frozen(kw_only=True)
class RunFinished(TrainEvent):
    """The run ended. `reason`: "max_steps", "signal" or the error's text."""

    reason: str
