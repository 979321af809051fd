"""Atomic writes of files and folders: they are written to a temporary path, synced and renamed. Light."""

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
from allophone.files.locks import name_locked
from allophone.files.system_errors import errors_naming

_ABANDONED = 3600.0
"""Seconds after which a temporary file counts as abandoned; writing one takes only seconds."""


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file for writing that replaces `path` when the block ends.

    Even after an exception or a power loss, `path` is either the old file or the complete new one.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        yield file


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Like `atomic_write`, but yield the temporary path, for writers that need one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    with errors_naming(path, temporary):
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            # Some writers create files that only the owner can read.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Create a temporary folder that is renamed to `path` when the block ends, or removed if it fails.

    Raises UserError if `path` exists, or another process is writing it.
    """
    check_absent(path)
    unfinished = _beside(path)
    with name_locked(path):
        check_absent(path)
        try:
            with errors_naming(path, unfinished):
                unfinished.mkdir()
                yield unfinished
                unfinished.rename(path)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_folder(path.parent)


def check_absent(path: Path) -> None:
    """Raise UserError if `path` exists."""
    if path.exists():
        raise UserError(f"{path} already exists.", hint="Remove it, or choose another path.")


def _beside(path: Path) -> Path:
    # Process ids are not unique on file systems shared by several machines.
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def _umask() -> int:
    # The umask can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
        except FileNotFoundError:
            continue


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that renames in it are durable; does nothing where folders cannot be opened."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
