"""Content digests of files, cached so that unchanged files are not read again. Imports no heavy packages.

Digests are stored in the data directory with the size and modification time of the file. Extraction
trusts a digest if both are unchanged. Training, which may run on a machine without the recordings, uses
the digests of the last extraction.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from allophone.atomic import atomic_write
from allophone.errors import UserError
from allophone.parsing import read_json_object

FileState = tuple[int, int, str] | None
"""Size, modification time in nanoseconds, and digest of a file; None for one that is no regular file or could not be read."""

# Shared, because `json.dumps` builds an encoder per call, which is slow for a million utterances.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest_of(plain: Any, *, size: int = 16) -> str:
    """Return the digest of plain data (JSON types): `size` bytes in hexadecimal."""
    return hashlib.blake2b(_ENCODER.encode(plain).encode(), digest_size=size).hexdigest()


def is_unchanged(path: str, known: FileState) -> bool:
    """Whether the size and modification time of a file match its known state; does not read the file."""
    try:
        status = os.stat(path)
    except OSError:
        return known is None
    return known is not None and known[:2] == (status.st_size, status.st_mtime_ns)


def file_state(path: str, known: FileState = None) -> FileState:
    """Return the current state of a file; its content is read only if it differs from `known`."""
    if known is not None and is_unchanged(path, known):
        return known
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return None
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, content.hexdigest()


class Digests:
    """A cache of file states, by path.

    changed: whether there are changes since the last `save`.
    """

    def __init__(self, folder: Path) -> None:
        """Read the cache files of a folder; if they disagree, the one written last wins."""
        self._folder = folder
        self._states: dict[str, FileState] = {}
        self.changed = False
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            self._states |= _read_states(path)

    def __contains__(self, path: str) -> bool:
        """Whether the cache has a state of the file."""
        return path in self._states

    def __getitem__(self, path: str) -> FileState:
        """Return the last known state of a file, or None."""
        return self._states.get(path)

    def digest(self, path: str) -> str | None:
        """Return the last known digest of a file; None if it is unknown or could not be read."""
        state = self._states.get(path)
        return state[2] if state else None

    def update(self, states: Mapping[str, FileState]) -> None:
        """Set the states of some files."""
        self.changed = self.changed or not (states.items() <= self._states.items())
        self._states |= states

    def save(self, name: str, paths: Iterable[str]) -> None:
        """Write the states of these files to a cache file; no other process may use the same name."""
        kept = {path: self._states[path] for path in sorted(set(paths)) if path in self._states}
        with atomic_write(self._folder / f"{name}.json") as file:
            file.write(json.dumps(kept, ensure_ascii=False).encode())
        self.changed = False


def _read_states(path: Path) -> dict[str, FileState]:
    hint = "Delete it and run `allophone extract`."
    kept = read_json_object(path, hint=hint)
    try:
        return {
            name: None if state is None else (int(state[0]), int(state[1]), str(state[2]))
            for name, state in kept.items()
        }
    except (TypeError, ValueError, LookupError) as error:
        raise UserError(f"{path} is not a cache of file states: {error}", hint=hint) from error
