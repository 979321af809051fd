"""The events of a training run, for the hook `allophone_train_event`.

A resumed run starts with `RunStarted` at the step of its checkpoint. Steps after the checkpoint that an
earlier process already took are repeated, and so are their events.

Light: it does not import NumPy, although the arrays in `SamplesMade` are NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen


@frozen(kw_only=True)
class TrainEvent:
    """The base class of all events.

    run: the run folder.
    step: the optimizer step of the event; 0 before the first.
    model: the `type` of the model or vocoder that is trained, as in `[model]` or `[vocoder]`.
    """

    run: Path
    step: int
    model: str


@frozen(kw_only=True)
class RunStarted(TrainEvent):
    """The run starts at step 0, or resumes at the step of a checkpoint.

    config: the resolved experiment as plain data.
    max_steps: the step at which training ends; None for no limit.
    """

    config: Mapping[str, Any]
    max_steps: int | None


@frozen(kw_only=True)
class StepFinished(TrainEvent):
    """Sent every `log_every` steps, with values averaged over the ranks and over the steps since the last.

    metrics: losses, gradient norms and learning rates by name.
    throughput: "steps", "utterances" and "audio_seconds", each per second, and "peak_memory_bytes".
    """

    epoch: int
    metrics: Mapping[str, float]
    throughput: Mapping[str, float]


@frozen(kw_only=True)
class Validated(TrainEvent):
    """Validation finished; `metrics` are means over the validation split."""

    metrics: Mapping[str, float]


@frozen(kw_only=True)
class SampleAudio:
    """An audio sample: samples float32 [N]."""

    samples: Any
    sample_rate: int


@frozen(kw_only=True)
class SampleImage:
    """An image: values [height, width], such as a mel [M, F] or an alignment [T, F]."""

    values: Any


@frozen(kw_only=True)
class SamplesMade(TrainEvent):
    """Samples generated for some validation utterances, by name ("LJ001-0001/audio")."""

    samples: Mapping[str, SampleAudio | SampleImage]


@frozen(kw_only=True)
class CheckpointSaved(TrainEvent):
    """A complete checkpoint was written to `path`."""

    path: Path


@frozen(kw_only=True)
class RunFinished(TrainEvent):
    """The run ended. `reason` is "max_steps", "early_stop", "signal" or the message of an error."""

    reason: str
