"""What happens in a training run, as records for the hook `allophone_train_event`.

Light: the arrays in `SamplesMade` are whatever the runtime hands over (NumPy); nothing is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class TrainEvent:
    """What all events have: the folder of the run, and the optimizer step they belong to."""

    run: Path
    step: int


@frozen(kw_only=True)
class RunStarted(TrainEvent):
    """The run begins, or goes on after a resume. `config` is the complete resolved experiment."""

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
