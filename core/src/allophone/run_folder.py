"""Where things lie in the folder of a run. Training writes it, synthesis reads it; this is all they share.

    runs/lj/
        config.toml                     the complete resolved experiment
        vocabulary.json                 symbols, speakers, languages
        metrics.jsonl                   what was measured, one JSON object a line
        finetune.json                   what was taken of other weights, where it began with some
        tensorboard/
        checkpoints/step-00001000/
            model.safetensors           weights, by module: "generator.decoder..."
            average.safetensors         the moving average of what speaks, where the run keeps one
            state.pt                    optimizers, position in the data, random generators
            config.toml, vocabulary.json, provenance.json

Light.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from allophone.errors import UserError

CONFIG = "config.toml"
VOCABULARY = "vocabulary.json"
METRICS = "metrics.jsonl"
FINETUNE = "finetune.json"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
WEIGHTS = "model.safetensors"
AVERAGE = "average.safetensors"
STATE = "state.pt"
PROVENANCE = "provenance.json"
ORIGINS = ("trainer", "model", "vocoder")
"""The tables of an experiment whose plugins a checkpoint's provenance names, where they are there."""
BESIDE_VOICE = "training.safetensors"
"""In the folder of a voice: weights that only training goes on with, by module ("discriminator...")."""


@frozen(order=True)
class Checkpoint:
    """A checkpoint that was written whole."""

    step: int
    path: Path

    @property
    def speaking_weights(self) -> Path:
        """The weights to speak with: the average where there is one."""
        average = self.path / AVERAGE
        return average if average.exists() else self.path / WEIGHTS


def checkpoint_path(run: Path, step: int) -> Path:
    """Where the checkpoint of that step lies."""
    return run / CHECKPOINTS / f"step-{step:08d}"


def checkpoints(run: Path) -> list[Checkpoint]:
    """The checkpoints of a run, oldest first."""
    found = (run / CHECKPOINTS).glob("step-*")
    return sorted(
        Checkpoint(int(path.name.removeprefix("step-")), path)
        for path in found
        if path.name.removeprefix("step-").isdigit()
    )


def is_run(path: Path) -> bool:
    """Whether the folder of a training run lies there, or one of its checkpoints."""
    return (path / CONFIG).is_file() and (
        (path / CHECKPOINTS).is_dir() or path.parent.name == CHECKPOINTS
    )


def find_checkpoint(place: Path) -> Checkpoint:
    """The checkpoint at `place`, or the latest one of the run at `place`."""
    if (place / WEIGHTS).exists() and place.name.removeprefix("step-").isdigit():
        return Checkpoint(int(place.name.removeprefix("step-")), place)
    found = checkpoints(place)
    if not found:
        raise UserError(
            f"There is no checkpoint in {place}.",
            hint="Give the folder of a run that has saved one, or a checkpoint's own folder.",
        )
    return found[-1]


def read_provenance(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a checkpoint says of itself: step, epoch, validation metrics, and what it was made with.

    Its tables `trainer`, and `model` or `vocoder`, name the type and the distribution of each.
    """
    provenance: dict[str, Any] = json.loads(
        (checkpoint.path / PROVENANCE).read_text(encoding="utf-8")
    )
    return provenance


@frozen(kw_only=True)
class Origin:
    """What a checkpoint needs to be read: an entry of some kind, and the distribution it came from."""

    table: str
    kind: str
    name: str
    distribution: str


def origins(checkpoint: Checkpoint) -> Iterator[Origin]:
    """What must be installed to read a checkpoint; look each of them up to have the user told."""
    provenance = read_provenance(checkpoint)
    for table in ORIGINS:
        if origin := provenance.get(table):
            yield Origin(
                table=table,
                kind=f"{table}s",
                name=origin["type"],
                distribution=origin["distribution"],
            )
