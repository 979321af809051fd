"""The manifest as a sequence that is read where it is used, through an index of its lines.

    index/manifest.columns      where each line is, and its split, speaker, language and corpus as numbers

The index is made once, when every line is checked, and again whenever the manifest has changed. It is a
memory map, so processes share what they read of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from allophone.data.columns import Columns, ColumnWriter
from allophone.data.digests import FileState, file_state
from allophone.data.index_files import open_index
from allophone.data.manifest import (
    SPLITS,
    Utterance,
    checked_before,
    manifest_lines,
    refuse_same_ids,
    utterance_from_line,
)
from allophone.errors import UserError

NAMES = ("split", "speaker", "language", "corpus")
"""The fields of an utterance that are columns: numbers of names, -1 for None."""

_PART = 1 << 16


class Utterances(Sequence[Utterance]):
    """Utterances of a manifest, each parsed when it is asked for."""

    def __init__(self, manifest: Manifest, rows: NDArray[np.int64] | range) -> None:
        """rows: their rows in the manifest."""
        self.manifest = manifest
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> Utterances: ...
    def __getitem__(self, index: int | slice) -> Utterance | Utterances:
        if isinstance(index, slice):
            return Utterances(self.manifest, self.rows[index])
        return self.manifest.utterance(int(self.rows[index]))

    def __iter__(self) -> Iterator[Utterance]:
        return (self.manifest.utterance(int(row)) for row in self.rows)


class Manifest(Utterances):
    """All utterances of a manifest, in its order.

    state: size, time and digest of the file.
    names: the names that the numbers of a column stand for, by field.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        """Use `open_manifest`."""
        super().__init__(self, range(len(columns["start"])))
        self._path = path
        self._columns = columns
        self._starts, self._ends = columns["start"], columns["end"]
        self.state: FileState = tuple(columns.header["manifest"])
        self.names: dict[str, list[str]] = columns.header["names"]
        # Not a memory map: pages around every line that is read would count as memory of each process.
        self._file = path.open("rb", buffering=0)

    def __reduce__(self) -> tuple[Any, tuple[Path, Columns]]:
        return Manifest, (self._path, self._columns)

    def utterance(self, row: int) -> Utterance:
        """Parse the utterance of a row."""
        start, end = int(self._starts[row]), int(self._ends[row])
        if hasattr(os, "pread"):
            # Processes that are forked share the position in the file.
            return checked_before(os.pread(self._file.fileno(), end - start, start))
        self._file.seek(start)
        return checked_before(self._file.read(end - start))

    def release(self) -> None:
        """Give back the memory of columns, as `Columns.release`."""
        self._columns.release()

    def codes(self, field: str) -> NDArray[np.int32]:
        """The numbers of the names in a field of all utterances [N]; -1 for None."""
        return self._columns[field]

    def id_hashes(self) -> NDArray[np.uint64]:
        """A number for the id of each utterance [N], the same in every manifest."""
        return self._columns["id"]

    def find(self, ids: Collection[str]) -> dict[str, int]:
        """The rows of those of some ids that the manifest has."""
        if not ids:
            return {}
        hashes = np.frombuffer(b"".join(map(_id_hash, ids)), np.uint64)
        rows = np.flatnonzero(np.isin(self.id_hashes(), hashes)).tolist()
        found = {self.utterance(row).id: row for row in rows}
        return {id: found[id] for id in ids if id in found}

    def without(self, rows: Sequence[int]) -> Utterances:
        """All utterances but those of some rows."""
        return Utterances(self, np.delete(np.arange(len(self)), rows)) if rows else self


def open_manifest(path: Path) -> Manifest:
    """Open a manifest. Raises UserError with the line of an error."""

    def is_current(columns: Columns) -> bool:
        known = tuple(columns.header["manifest"])
        state = file_state(str(path), known)
        return state is not None and (state[0], state[2]) == (known[0], known[2])

    columns = open_index(path.parent, "manifest", is_current, lambda folder: _index(path, folder))
    return Manifest(path, columns)


def _index(path: Path, out: ColumnWriter) -> dict[str, Any]:
    """Check the lines of a manifest and write their columns."""
    before = file_state(str(path))
    if before is None:
        raise UserError(f"The manifest {path} cannot be read.")
    names: dict[str, dict[str, int]] = {field: {} for field in NAMES}
    names["split"] = {split: number for number, split in enumerate(SPLITS)}
    rows: dict[str, list[int]] = {name: [] for name in ("start", "end", *NAMES)}
    ids = bytearray()

    def flush() -> None:
        for name in ("start", "end"):
            out.append(name, np.array(rows[name], np.int64))
        for name in NAMES:
            out.append(name, np.array(rows[name], np.int32))
        out.append("id", np.frombuffer(bytes(ids), np.uint64))
        for values in rows.values():
            values.clear()
        ids.clear()

    for start, end, utterance in manifest_lines(path):
        rows["start"].append(start)
        rows["end"].append(end)
        for field in NAMES:
            name, known = getattr(utterance, field), names[field]
            rows[field].append(-1 if name is None else known.setdefault(name, len(known)))
        ids += _id_hash(utterance.id)
        if len(rows["start"]) == _PART:
            flush()
    flush()
    _refuse_same_ids(path, out)
    return {"manifest": before, "names": {field: list(known) for field, known in names.items()}}


def _id_hash(id: str) -> bytes:
    return hashlib.blake2b(id.encode(), digest_size=8).digest()


def _refuse_same_ids(path: Path, out: ColumnWriter) -> None:
    hashes = out.read("id")
    ordered = np.sort(hashes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        starts = out.read("start")
        with path.open("rb") as file:
            same = []
            for row in np.flatnonzero(np.isin(hashes, twice)):
                file.seek(starts[row])
                same.append(utterance_from_line(file.readline(), where=f"{path}"))
        refuse_same_ids(same)
