"""Files and folders that are whole or not there: written under another name, synced, renamed. Light."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from allophone.errors import UserError

_ABANDONED = 3600.0
"""Seconds after which a temporary file belongs to nobody any more: writing one takes seconds."""


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes its name, and the place of an older one, when the block ends.

    Whatever happens inside, up to a loss of power, `path` is afterwards the old file or the new one.
    """
    with named_whole(path) as temporary, temporary.open("wb") as file:
        yield file


@contextmanager
def named_whole(path: Path) -> Iterator[Path]:
    """As `written_whole`, for writers that want a path: yields the one to write to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        # Some writers make files that nobody else may read.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def folder_whole(path: Path) -> Iterator[Path]:
    """A new folder to fill, which takes its name when the block ends and is gone if that fails.

    UserError when something lies at `path` already, or nothing can be made there.
    """
    if path.exists():
        raise UserError(f"{path} already exists.", hint="Remove it, or choose another path.")
    unfinished = _beside(path)
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{path} cannot be made: {error}", hint="Give another place.") from error
    try:
        yield unfinished
        unfinished.rename(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_folder(path.parent)


def _beside(path: Path) -> Path:
    # Not the process id: on a file system that machines share, two processes may have the same.
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def _umask() -> int:
    # There is no other way to ask for it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in a folder."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
        except FileNotFoundError:
            continue


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder last; not every system lets a folder be opened."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
