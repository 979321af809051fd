"""What is in a file, by the digest of its content, without reading it twice. Light.

Digests are kept in the data directory with the size and time of the file. Extraction trusts a digest
when both are what they were; training, which may run where there are no recordings, takes the digest
that extraction has seen last.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from allophone.atomic import atomic_write
from allophone.errors import UserError

Seen = tuple[int, int, str] | None
"""What was seen of a file: its size, the time of its last change in nanoseconds and its digest; None
for one that was missing or could not be read."""

# Made once: `json.dumps` makes one a call, which a corpus of a million utterances would notice.
_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def digest_of(plain: Any, *, size: int = 16) -> str:
    """The digest of plain data (what JSON can hold), in hexadecimal: `size` bytes."""
    return hashlib.blake2b(_ENCODER.encode(plain).encode(), digest_size=size).hexdigest()


def is_as_known(path: str, known: Seen) -> bool:
    """Whether a file has the size and the time that are known of it; its content is not read."""
    try:
        status = os.stat(path)
    except OSError:
        return known is None
    return known is not None and known[:2] == (status.st_size, status.st_mtime_ns)


def look_at(path: str, known: Seen = None) -> Seen:
    """See a file as it is now; its content is read only where it is not what is known."""
    if known is not None and is_as_known(path, known):
        return known
    try:
        status = os.stat(path)
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, content.hexdigest()


class Digests:
    """The digests that are known of files, by path.

    changed: whether something was seen since the beginning, or the last `save`, that is not kept.
    """

    def __init__(self, folder: Path) -> None:
        """Read what is kept in a folder; where files of it disagree, the one written last is right."""
        self._folder = folder
        self._seen: dict[str, Seen] = {}
        self.changed = False
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns):
            try:
                kept: dict[str, list[Any] | None] = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise UserError(
                    f"{path} is damaged: {error}", hint="Delete it and run `allophone extract`."
                ) from error
            self._seen |= {
                name: None if seen is None else (seen[0], seen[1], seen[2])
                for name, seen in kept.items()
            }

    def __contains__(self, path: str) -> bool:
        """Whether the file was ever looked at."""
        return path in self._seen

    def __getitem__(self, path: str) -> Seen:
        """What was seen of a file when it was looked at last, if ever."""
        return self._seen.get(path)

    def digest(self, path: str) -> str | None:
        """The digest of a file when it was looked at last; None where there was nothing to read."""
        seen = self._seen.get(path)
        return seen[2] if seen else None

    def update(self, seen: Mapping[str, Seen]) -> None:
        """Take note of what was seen of some files."""
        self.changed = self.changed or not (seen.items() <= self._seen.items())
        self._seen |= seen

    def save(self, name: str, paths: Iterable[str]) -> None:
        """Keep what is known of these files, under a name that no other process uses."""
        kept = {path: self._seen[path] for path in sorted(set(paths)) if path in self._seen}
        with atomic_write(self._folder / f"{name}.json") as file:
            file.write(json.dumps(kept, ensure_ascii=False).encode())
        self.changed = False
