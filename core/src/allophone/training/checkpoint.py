"""Writes checkpoints atomically, prunes them, and reads them without executing code from them.

A checkpoint is a directory. It is written under a temporary name, synced and renamed, so a directory with
the name of a checkpoint is always complete. The next run removes what a killed process left behind.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from attrs import frozen
from torch import Tensor

from allophone.config import unstructure, write_toml
from allophone.config.experiment import Experiment, KeepConfig
from allophone.data.vocabulary import Vocabulary, write_vocabulary
from allophone.errors import UserError
from allophone.files.atomic import atomic_write, sync_folder
from allophone.files.parsing import other_content
from allophone.files.run_folder import (
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
from allophone.registry import Registry
from allophone.weights.files import write_weights

_log = logging.getLogger(__name__)

_WRITING, _DELETING = ".writing-", ".deleting-"


@frozen(kw_only=True)
class Snapshot:
    """The content of a checkpoint.

    weights: weights of all modules, by "module.parameter".
    average: their moving average, or None.
    state: all other training state: numbers, strings, tensors, and lists, tuples and dicts of them.
    validation: the latest validation metrics, to find the best checkpoint.
    """

    weights: Mapping[str, Tensor]
    average: Mapping[str, Tensor] | None
    state: Mapping[str, Any]
    experiment: Experiment
    vocabulary: Vocabulary
    epoch: int
    validation: Mapping[str, float]


def write_checkpoint(run: Path, step: int, snapshot: Snapshot, registry: Registry) -> Checkpoint:
    """Write the checkpoint of a step, replacing an existing one."""
    path = checkpoint_path(run, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_incomplete(run)
    unfinished = path.with_name(_temporary(_WRITING, path))
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
    """Read the training state of a checkpoint to the CPU.

    Raises UserError if it is missing or corrupt. Use it within `errors_of_state`, which catches other content.
    """
    path = checkpoint.path / STATE
    if not path.is_file():
        raise UserError(
            f"Cannot resume from {checkpoint.path}: it has no {STATE}.",
            hint=_WITHOUT_STATE,
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    # What other content makes torch.load raise has no common base class; some of it is long.
    except Exception as error:
        raise UserError(
            f"{path} is damaged, or is not a training state: {shorten(str(error), 300)}",
            hint=_WITHOUT_STATE,
        ) from error
    return state


def errors_of_state(checkpoint: Checkpoint) -> AbstractContextManager[None]:
    """Raise UserError if a training state has other content than what is loaded from it."""
    return other_content(
        f"{checkpoint.path / STATE} is not the training state of this checkpoint",
        hint=_WITHOUT_STATE,
    )


_WITHOUT_STATE = (
    "Resume from another checkpoint of the run, or start from the weights only, with --finetune."
)


def prune(
    run: Path, keep: KeepConfig, *, best: Callable[[Iterable[float]], float] = min
) -> list[Checkpoint]:
    """Delete the checkpoints that `keep` does not cover; returns the deleted ones.

    If one cannot be deleted, a warning is logged.

    best: selects the best of the values of `keep.best_metric`: `min` or `max`.
    """
    existing = checkpoints(run)
    kept = set(existing[-keep.last :])
    if keep.every is not None:
        kept |= {checkpoint for checkpoint in existing if checkpoint.step % keep.every == 0}
    if keep.best_metric is not None:
        scores = {
            validation[keep.best_metric]: checkpoint
            for checkpoint in reversed(existing)
            if keep.best_metric in (validation := read_provenance(checkpoint)["validation"])
        }
        kept |= {scores[best(scores)]} if scores else set()
    unwanted = [checkpoint for checkpoint in existing if checkpoint not in kept]
    return [checkpoint for checkpoint in unwanted if _delete(checkpoint.path)]


def remove_incomplete(run: Path) -> None:
    """Remove checkpoints that a killed process was writing or deleting."""
    for prefix in (_WRITING, _DELETING):
        for path in (run / CHECKPOINTS).glob(f"{prefix}*"):
            _remove(path)


def _delete(path: Path) -> bool:
    """Rename and delete a checkpoint, so that a partly deleted one never has a checkpoint's name."""
    deleting = path.with_name(_temporary(_DELETING, path))
    try:
        path.rename(deleting)
    except OSError as error:
        _log.warning("%s cannot be deleted, and is kept: %s.", path, error.strerror)
        return False
    return _remove(deleting)


def _remove(path: Path) -> bool:
    try:
        shutil.rmtree(path)
    except OSError as error:
        _log.warning("%s cannot be deleted, and takes up space: %s.", path, error.strerror)
        return False
    return True


def _temporary(prefix: str, path: Path) -> str:
    """Return a new name each time, since an older folder may have been impossible to remove."""
    return f"{prefix}{path.name}-{secrets.token_hex(4)}"


def _write_state(path: Path, state: Mapping[str, Any]) -> None:
    with atomic_write(path) as file:
        torch.save(dict(state), file)
    if unsafe := torch.serialization.get_unsafe_globals_in_checkpoint(path):
        raise TypeError(
            f"The training state contains {', '.join(unsafe)}, which cannot be loaded safely. The "
            f"state_dict of an optimizer may hold only numbers, strings, tensors, lists, tuples and dicts."
        )


def _origin(kind: str, name: str, registry: Registry) -> dict[str, str]:
    owner = registry.owner(kind, name)
    return {"type": name, "distribution": owner.distribution, "version": owner.version}


def _distributions(registry: Registry) -> dict[str, str]:
    """Return the versions of Python, torch and every working plugin."""
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
