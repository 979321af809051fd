"""Content digests of files, cached so that unchanged files are not read again. Imports NumPy.

Digests are stored in the data directory with the size and modification time of the file. Extraction
trusts a digest if both are unchanged. Training, which may run on a machine without the recordings, uses
the digests of the last extraction.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from allophone.data.key_table import KEY_BYTES, KeyTable
from allophone.errors import UserError
from allophone.files.atomic import atomic_write

FileState = tuple[int, int, str] | None
"""Size, modification time in nanoseconds, and digest of a file; None for one that is no regular file or could not be read."""

_LINE = 1000
"""States in a line of a cache file, so that it is read in parts."""
_UNREADABLE = -1
"""The size of a file that could not be read."""

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
        """Use the cache files of a folder, which are read at the first look; if they disagree, the one written last wins."""
        self._folder = folder
        self._states: dict[str, FileState] = {}
        self._recalled: dict[str, FileState] = {}
        self._cached: _CachedStates | None = None
        self.changed = False

    def cache_files(self) -> list[Path]:
        """List the cache files in the order in which they are read."""
        return sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)

    def __contains__(self, path: str) -> bool:
        """Whether the cache has a state of the file."""
        return path in self._states or bool(self._recalled.get(path)) or path in self._cache()

    def __getitem__(self, path: str) -> FileState:
        """Return the last known state of a file, or None."""
        if path in self._states:
            return self._states[path]
        return self._recalled[path] if path in self._recalled else self._cache().get([path])[0]

    def digest(self, path: str) -> str | None:
        """Return the last known digest of a file; None if it is unknown or could not be read."""
        state = self[path]
        return state[2] if state else None

    def recall(self, paths: Iterable[str]) -> None:
        """Look up the states of many files at once, so that asking for each of them next is fast."""
        unknown = [path for path in paths if path not in self._states]
        self._recalled = dict(zip(unknown, self._cache().get(unknown), strict=True))

    def update(self, states: Mapping[str, FileState]) -> None:
        """Set the states of some files."""
        for path, state in states.items():
            if path not in self or self[path] != state:
                self._states[path] = state
                self.changed = True

    def save(self, name: str, paths: Iterable[str]) -> None:
        """Write the states of these files to a cache file; no other process may use the same name."""
        known = (path for path in sorted(set(paths)) if path in self)
        with atomic_write(self._folder / f"{name}.json") as file:
            while part := {path: self[path] for path in islice(known, _LINE)}:
                file.write(json.dumps(part, ensure_ascii=False).encode() + b"\n")
        self.changed = False

    def _cache(self) -> _CachedStates:
        if self._cached is None:
            self._cached = _CachedStates(self.cache_files())
        return self._cached


class _CachedStates:
    """The states in cache files, in 48 bytes each."""

    def __init__(self, paths: Iterable[Path]) -> None:
        keys, digests = bytearray(), bytearray()
        numbers = array("q")
        for path in paths:
            try:
                with path.open(encoding="utf-8") as lines:
                    for line in lines:
                        kept: dict[str, Any] = json.loads(line)
                        for name, state in kept.items():
                            size, time, digest = state or (_UNREADABLE, 0, "0" * 32)
                            keys += _path_key(name)
                            numbers.extend((size, time))
                            digests += bytes.fromhex(digest)
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                raise UserError(
                    f"{path} is corrupt: {error}", hint="Delete it and run `allophone extract`."
                ) from error
        self._table = KeyTable(keys)
        self._numbers = np.array(numbers, np.int64).reshape(-1, 2)[self._table.kept]
        self._digests = np.frombuffer(digests, "V16")[self._table.kept]

    def __contains__(self, path: str) -> bool:
        return bool(self._table.find([_path_key(path)])[0] >= 0)

    def get(self, paths: Sequence[str]) -> list[FileState]:
        found = self._table.find([_path_key(path) for path in paths])
        if not len(self._table):
            return [None] * len(paths)
        numbers = self._numbers[found].tolist()
        digests = self._digests[found]
        return [
            None if row < 0 or size == _UNREADABLE else (size, time, digest.tobytes().hex())
            for row, (size, time), digest in zip(found, numbers, digests, strict=True)
        ]


def _path_key(path: str) -> bytes:
    return hashlib.blake2b(path.encode(errors="surrogatepass"), digest_size=KEY_BYTES).digest()
