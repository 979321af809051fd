"""Checkpoints: written whole, kept or deleted by a rule, and read without running anybody's code.

A checkpoint is a directory. It is filled under another name, put on the disk and renamed, so whatever
bears a checkpoint's name is complete; what a killed process left behind is swept away by the next run.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from allophone.atomic import atomic_write, sync_folder
from allophone.config import unstructure, write_toml
from allophone.config.experiment import Experiment, KeepConfig
from allophone.data.vocabulary import Vocabulary, write_vocabulary
from allophone.errors import UserError
from allophone.registry import Registry
from allophone.run_folder import (
    AVERAGE,
    CHECKPOINTS,
    CONFIG,
    ORIGINS,
    PROVENANCE,
    STATE,
    VOCABULARY,
    WEIGHTS,
    Checkpoint,
    checkpoint_path,
    checkpoints,
    read_provenance,
)
from allophone.weights import write_weights

_UNFINISHED, _UNWANTED = ".writing-", ".deleting-"


@frozen(kw_only=True)
class Snapshot:
    """All that a checkpoint holds.

    weights: of every module, by "module.parameter"; average: their moving average, or None.
    state: what else goes on: numbers, strings, tensors, and lists, tuples and dicts of them.
    validation: the latest validation metrics, by which the best checkpoint is told.
    """

    weights: Mapping[str, Tensor]
    average: Mapping[str, Tensor] | None
    state: Mapping[str, Any]
    experiment: Experiment
    vocabulary: Vocabulary
    epoch: int
    validation: Mapping[str, float]


def write_checkpoint(run: Path, step: int, snapshot: Snapshot, registry: Registry) -> Checkpoint:
    """Write a checkpoint of that step, in the place of one that is already there."""
    path = checkpoint_path(run, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(run)
    unfinished = path.with_name(f"{_UNFINISHED}{path.name}")
    unfinished.mkdir()
    plain = unstructure(snapshot.experiment, registry=registry)
    write_weights(unfinished / WEIGHTS, snapshot.weights)
    if snapshot.average is not None:
        write_weights(unfinished / AVERAGE, snapshot.average)
    _write_state(unfinished / STATE, snapshot.state)
    write_toml(unfinished / CONFIG, plain)
    write_vocabulary(unfinished / VOCABULARY, snapshot.vocabulary)
    provenance = {
        "step": step,
        "epoch": snapshot.epoch,
        "validation": dict(snapshot.validation),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        **{
            table: _origin(f"{table}s", plain[table]["type"], registry)
            for table in ORIGINS
            if table in plain
        },
        "distributions": _distributions(registry),
    }
    with atomic_write(unfinished / PROVENANCE) as file:
        file.write(json.dumps(provenance, indent=1).encode() + b"\n")
    if path.exists():
        _delete(path)
    unfinished.rename(path)
    sync_folder(path.parent)
    return Checkpoint(step, path)


def read_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """The state in a checkpoint, on the CPU; UserError where it is missing or damaged."""
    path = checkpoint.path / STATE
    if not path.is_file():
        raise UserError(
            f"{checkpoint.path} has no {STATE}, so nothing can be resumed from it.",
            hint="Weights alone can be fine-tuned: --finetune.",
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    return state


def prune(
    run: Path, keep: KeepConfig, *, best: Callable[[Iterable[float]], float] = min
) -> list[Checkpoint]:
    """Delete the checkpoints that nobody asked to keep; returns those that are gone.

    best: which of the values of `keep.best_metric` is best, `min` or `max`.
    """
    there = checkpoints(run)
    kept = set(there[-keep.last :])
    if keep.every is not None:
        kept |= {checkpoint for checkpoint in there if checkpoint.step % keep.every == 0}
    if keep.best_metric is not None:
        scores = {
            validation[keep.best_metric]: checkpoint
            for checkpoint in reversed(there)
            if keep.best_metric in (validation := read_provenance(checkpoint)["validation"])
        }
        kept |= {scores[best(scores)]} if scores else set()
    gone = [checkpoint for checkpoint in there if checkpoint not in kept]
    for checkpoint in gone:
        _delete(checkpoint.path)
    return gone


def sweep(run: Path) -> None:
    """Remove what a killed process left half-written or half-deleted."""
    for start in (_UNFINISHED, _UNWANTED):
        for path in (run / CHECKPOINTS).glob(f"{start}*"):
            shutil.rmtree(path)


def _delete(path: Path) -> None:
    """Take the name away first: nothing half-deleted bears the name of a checkpoint."""
    unwanted = path.with_name(f"{_UNWANTED}{path.name}")
    path.rename(unwanted)
    shutil.rmtree(unwanted)


def _write_state(path: Path, state: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        torch.save(dict(state), file)
    if unsafe := torch.serialization.get_unsafe_globals_in_checkpoint(path):
        raise TypeError(
            f"The state holds {', '.join(unsafe)}, which could not be loaded again: an optimizer's "
            f"state_dict is made of numbers, strings, tensors, lists, tuples and dicts."
        )


def _origin(kind: str, name: str, registry: Registry) -> dict[str, str]:
    owner = registry.owner(kind, name)
    return {"type": name, "distribution": owner.distribution, "version": owner.version}


def _distributions(registry: Registry) -> dict[str, str]:
    """The versions that decide what a checkpoint means: python, torch, and every working plugin's."""
    versions = {
        plugin.distribution: plugin.version
        for plugin in registry.plugins
        if plugin.state == "works"
    }
    return {
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
        **dict(sorted(versions.items())),
    }
