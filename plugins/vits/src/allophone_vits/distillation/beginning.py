"""What the training of a student begins with: the teacher's weights, and those of students that learned before."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from torch import Tensor

from allophone.config import read_toml
from allophone.errors import UserError
from allophone.files.run_folder import (
    CONFIG,
    TRAINING_WEIGHTS,
    WEIGHTS,
    checkpoints,
    find_checkpoint,
    is_run,
)
from allophone.inference.folder import StoredVoice, write_voice
from allophone.registry import Registry
from allophone.weights.files import add_prefix, read_weights, strip_prefix, write_weights
from allophone_vits.distillation.config import PARTS
from allophone_vits.distillation.thinning import thinned

EXPERIMENT = "experiment.toml"
"""In the folder of a training, and in the folder `training` of a voice package."""


@frozen(kw_only=True)
class Student:
    """Weights of the parts that a student learned, and of its discriminators, which may be none."""

    parts: Mapping[str, Tensor]
    discriminators: Mapping[str, Tensor]


def write_beginning(
    teacher: StoredVoice,
    model: Any,
    parts: Sequence[str],
    students: Sequence[Path],
    destination: Path,
    registry: Registry,
) -> Path:
    """Write what training begins with, as a voice folder to fine-tune from.

    That is the teacher, its layers thinned to those of the student's `model`, with what the `students` learned of
    these parts; a later one goes before an earlier one. Each is a run, a checkpoint, or the training folder of a
    voice package. Raises UserError for one that has learned none of them.
    """
    weights = thinned(teacher.weights, teacher.description.model, model, parts)
    discriminators: Mapping[str, Tensor] = {}
    for folder in students:
        student = read_student(folder, parts)
        weights = with_weights(weights, student.parts)
        discriminators = student.discriminators or discriminators
    shutil.rmtree(destination, ignore_errors=True)
    write_voice(destination, evolve(teacher, weights=weights), registry=registry)
    if discriminators:
        write_weights(destination / TRAINING_WEIGHTS, add_prefix(discriminators, "discriminator"))
    return destination


def read_student(folder: Path, parts: Collection[str]) -> Student:
    """What the student in `folder` learned of `parts`, its moving average if there is one."""
    if is_run(folder) or checkpoints(folder):
        checkpoint = find_checkpoint(folder)
        description = checkpoint.path / CONFIG
        given = read_weights(checkpoint.path / WEIGHTS) | read_weights(checkpoint.inference_weights)
    else:
        description = folder / EXPERIMENT
        given = read_weights(folder / WEIGHTS)
    # Of the rest, such as a larger flow, it has its teacher's.
    learned = (
        read_toml(description)["trainer"].get("parts", PARTS) if description.exists() else PARTS
    )
    wanted = [part for part in parts if part in learned]
    given = {name: tensor.float() for name, tensor in given.items()}
    found = only(strip_prefix(given, "generator"), wanted)
    if not found:
        raise UserError(
            f"The student in {folder} has not learned {' or '.join(parts)}.",
            hint="Give the run of a distillation, one of its checkpoints, or the folder that tools/pack_voice.py wrote.",
        )
    return Student(parts=found, discriminators=strip_prefix(given, "discriminator"))


def only(weights: Mapping[str, Tensor], parts: Collection[str]) -> dict[str, Tensor]:
    """The weights of these parts."""
    return {name: tensor for name, tensor in weights.items() if _part(name) in parts}


def with_weights(weights: Mapping[str, Tensor], learned: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a voice in which the parts of `learned` are replaced."""
    replaced = {_part(name) for name in learned}
    kept = {name: tensor for name, tensor in weights.items() if _part(name) not in replaced}
    return kept | dict(learned)


def _part(name: str) -> str:
    """The part that a weight belongs to."""
    return name.partition(".")[0]
