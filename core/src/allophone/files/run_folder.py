"""The layout of a run folder, which training writes and inference reads. Light.

runs/lj/
    config.toml                     the resolved experiment
    vocabulary.json                 symbols, speakers, languages
    metrics.jsonl                   metrics, one JSON object per line
    finetune.json                   which weights were initialized from others, for fine-tuned runs
    tensorboard/
    checkpoints/step-00001000/
        model.safetensors           weights, by module: "generator.decoder..."
        average.safetensors         moving average of the inference module's weights, if enabled
        state.pt                    optimizers, position in the data, random generators
        config.toml, vocabulary.json, provenance.json
    set-aside/2026-01-31-120000-000000/
        ...                         a run: checkpoints that --overwrite replaced
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from allophone.errors import UserError
from allophone.files.parsing import read_json_object

CONFIG = "config.toml"
VOCABULARY = "vocabulary.json"
METRICS = "metrics.jsonl"
FINETUNE = "finetune.json"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
SET_ASIDE = "set-aside"
WEIGHTS = "model.safetensors"
AVERAGE = "average.safetensors"
STATE = "state.pt"
PROVENANCE = "provenance.json"
ORIGINS = ("trainer", "model", "vocoder")
"""The tables of an experiment whose plugins are recorded in a checkpoint's provenance."""
TRAINING_WEIGHTS = "training.safetensors"
"""In a voice folder: weights that only fine-tuning uses, by module ("discriminator...")."""


@frozen(order=True)
class Checkpoint:
    """A complete checkpoint."""

    step: int
    path: Path

    @property
    def inference_weights(self) -> Path:
        """The weights for inference: the moving average if there is one."""
        average = self.path / AVERAGE
        return average if average.exists() else self.path / WEIGHTS


def checkpoint_path(run: Path, step: int) -> Path:
    """Return the path of the checkpoint at a step."""
    return run / CHECKPOINTS / f"step-{step:08d}"


def checkpoints(run: Path) -> list[Checkpoint]:
    """List the checkpoints of a run, oldest first."""
    found = (run / CHECKPOINTS).glob("step-*")
    return sorted(
        Checkpoint(int(path.name.removeprefix("step-")), path)
        for path in found
        if path.name.removeprefix("step-").isdigit()
    )


def is_run(path: Path) -> bool:
    """Whether `path` is a run folder or one of its checkpoints."""
    return (path / CONFIG).is_file() and (
        (path / CHECKPOINTS).is_dir() or path.parent.name == CHECKPOINTS
    )


def find_checkpoint(place: Path) -> Checkpoint:
    """Find the checkpoint at `place`, or the latest one of the run at `place`; UserError if there is none."""
    if (place / WEIGHTS).exists() and place.name.removeprefix("step-").isdigit():
        return Checkpoint(int(place.name.removeprefix("step-")), place)
    found = checkpoints(place)
    if not found:
        raise UserError(
            f"There is no checkpoint in {place}.",
            hint="Give a run folder with checkpoints, or the folder of a checkpoint.",
        )
    return found[-1]


def read_provenance(checkpoint: Checkpoint) -> dict[str, Any]:
    """Read the provenance of a checkpoint: step, epoch, validation metrics, and the software used.

    Its tables `trainer`, and `model` or `vocoder`, contain the type and the distribution of each.
    """
    path = checkpoint.path / PROVENANCE
    hint = "The checkpoint is damaged; give another one of the run."
    provenance = read_json_object(path, hint=hint)
    named = [provenance.get(table, {"type": "", "distribution": ""}) for table in ORIGINS]
    if not isinstance(provenance.setdefault("validation", {}), dict) or not all(
        isinstance(origin, dict)
        and isinstance(origin.get("type"), str)
        and isinstance(origin.get("distribution"), str)
        for origin in named
    ):
        raise UserError(f"{path} does not say what a checkpoint was trained with.", hint=hint)
    return provenance


@frozen(kw_only=True)
class Origin:
    """A plugin entry that a checkpoint needs, and the distribution that provided it."""

    table: str
    kind: str
    name: str
    distribution: str


def origins(checkpoint: Checkpoint) -> Iterator[Origin]:
    """List the plugin entries needed to read a checkpoint; `Registry.find` raises if one is missing."""
    provenance = read_provenance(checkpoint)
    for table in ORIGINS:
        if origin := provenance.get(table):
            yield Origin(
                table=table,
                kind=f"{table}s",
                name=origin["type"],
                distribution=origin["distribution"],
            )
