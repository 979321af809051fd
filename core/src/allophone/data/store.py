"""The feature store: arrays on disk, packed about a hundred to a file and read through memory maps.

    features/phonemes-5c0f1be2/
        key.json                        the extractor's key, which determines the content
        4bd1...e9.bin, 4bd1...e9.json   a pack of arrays, and its index

An array is stored under the digest of its inputs, so a changed text or recording has a new digest, and
stored arrays are never out of date. A pack is named by the digest of its content and written atomically,
its index last. So a process can be killed at any time: committed packs remain, and running again writes
the others under the same names.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.data.key_table import KeyTable, compact
from allophone.data.manifest import Dropped
from allophone.errors import UserError
from allophone.files.atomic import atomic_write, remove_abandoned

_KEY_FILE = "key.json"
_ALIGNMENT = 64
_SIXTEEN_BITS = 32768.0


@frozen
class StoredArray:
    """The location of a stored array. `read` is cheap and returns exactly the array that was stored."""

    pack: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def is_text(self) -> bool:
        """Whether the array holds symbols rather than numbers."""
        return self.dtype.startswith("<U")

    def read(self) -> NDArray[Any]:
        """Return a read-only view of the pack, or a copy if the array was stored as 16 bits."""
        pcm = self.dtype == "pcm16"
        dtype = np.dtype("<i2" if pcm else self.dtype)
        content = _map(self.pack)
        end = self.offset + dtype.itemsize * math.prod(self.shape)
        if end > len(content):
            raise _truncated(self.pack)
        values = content[self.offset : end].view(dtype).reshape(self.shape)
        return values.astype(np.float32) / np.float32(_SIXTEEN_BITS) if pcm else values


MISSING, DROPPED = -1, -2
"""What `Locations.pack` has for an array that is not extracted yet, and for one that was dropped."""


@frozen(kw_only=True)
class Locations:
    """Where arrays are [N]: columns of what `StoredArray` has, for many at once.

    pack: position in `FeatureStore.packs`, MISSING or DROPPED.
    offset: in units of 64 bytes.
    length: the first dimension of the shape.
    kind: position in `FeatureStore.kinds`.
    """

    pack: NDArray[np.int32]
    offset: NDArray[np.uint32]
    length: NDArray[np.uint32]
    kind: NDArray[np.int16]


Kind = tuple[str, tuple[int, ...] | None]
"""The type of an array, and its shape without the first dimension; None for a single number."""


def stored_array(pack: Path, offset: int, length: int, kind: Kind) -> StoredArray:
    """Return the array at a location, of which `offset` is in units of 64 bytes."""
    dtype, rest = kind
    return StoredArray(pack, offset * _ALIGNMENT, dtype, () if rest is None else (length, *rest))


class FeatureStore:
    """The stored arrays of one extractor, in one folder.

    packs: the names of the packs.
    kinds: the kinds of arrays in them.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Use a folder, if it exists. Its indexes are read when something is looked up.

        key: the extractor's key, written to the folder for reference.
        """
        self.folder = folder
        self.packs: list[str] = []
        self.kinds: list[Kind] = []
        self._key = key
        self._table: KeyTable | None = None
        self._locations = _no_locations()
        self._dropped: dict[bytes, Dropped] = {}
        self._committed: dict[bytes, StoredArray] = {}

    def pack_names(self) -> list[str]:
        """List the packs in the folder, sorted. They are named by content, so the names tell what is stored."""
        if not self.folder.exists():
            return []
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries]
        return sorted(name[:-5] for name in names if name.endswith(".json") and name != _KEY_FILE)

    def find(self, key: str) -> StoredArray | Dropped | None:
        """Return the array of an utterance's key, why it was dropped, or None if not extracted yet."""
        short = compact(key)
        if (committed := self._committed.get(short)) is not None:
            return committed
        found = int(self._read().find([short])[0])
        if found < 0:
            return self._dropped.get(short)
        at = self._locations
        return stored_array(
            self.pack_path(self.packs[at.pack[found]]),
            int(at.offset[found]),
            int(at.length[found]),
            self.kinds[at.kind[found]],
        )

    def locate(self, keys: Sequence[str]) -> Locations:
        """Look up many keys at once, among what was stored before this process."""
        short = [compact(key) for key in keys]
        found = self._read().find(short)
        missing = found < 0
        if len(found) and not len(self._locations.pack):
            located = _no_locations(len(found))
        else:
            located = _select(self._locations, found)
        located.pack[missing] = [
            DROPPED if short[row] in self._dropped else MISSING for row in np.flatnonzero(missing)
        ]
        return located

    def pack_path(self, name: str) -> Path:
        """The file of a pack."""
        return self.folder / f"{name}.bin"

    def commit(self, results: Mapping[str, NDArray[Any] | Dropped]) -> None:
        """Store results in a new pack, atomically."""
        content = bytearray()
        arrays: dict[str, Any] = {}
        dropped: dict[str, Any] = {}
        for key, result in sorted(results.items()):
            if isinstance(result, Dropped):
                dropped[key] = [result.reason, result.detail]
                continue
            dtype, stored = _encoded(result)
            content += bytes(-len(content) % _ALIGNMENT)
            arrays[key] = [len(content), dtype, list(result.shape)]
            content += stored.tobytes()
        index = json.dumps({"arrays": arrays, "dropped": dropped}, ensure_ascii=False).encode()
        name = hashlib.blake2b(bytes(content) + index, digest_size=16).hexdigest()
        if not (self.folder / _KEY_FILE).exists():
            with atomic_write(self.folder / _KEY_FILE) as file:
                file.write(json.dumps(self._key, ensure_ascii=False, indent=1).encode() + b"\n")
        pack = self.pack_path(name)
        with atomic_write(pack) as file:
            file.write(content)
        with atomic_write(self.folder / f"{name}.json") as file:
            file.write(index)
        for key, (reason, detail) in dropped.items():
            self._dropped.setdefault(compact(key), Dropped(reason=reason, detail=detail))
        for key, (offset, dtype, shape) in arrays.items():
            self._committed[compact(key)] = StoredArray(pack, offset, dtype, tuple(shape))

    def clean(self) -> None:
        """Remove incomplete files of killed processes."""
        remove_abandoned(self.folder)

    def _read(self) -> KeyTable:
        """Read the indexes of all packs, once."""
        if self._table is None:
            reader = _IndexReader(self.folder)
            self.packs = self.pack_names()
            for name in self.packs:
                reader.read(name)
            self._table = KeyTable(reader.keys)
            self._locations = _select(reader.locations(), self._table.kept)
            self.kinds = list(reader.kinds)
            self._dropped = {**self._dropped, **reader.dropped}
        return self._table


class _IndexReader:
    """Reads the indexes of packs, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._packs = 0
        self._columns: dict[str, array[int]] = {
            "pack": array("i"),
            "offset": array("I"),
            "length": array("I"),
            "kind": array("h"),
        }
        self.keys = bytearray()
        self.kinds: dict[Kind, int] = {}
        self.dropped: dict[bytes, Dropped] = {}

    def read(self, name: str) -> None:
        path = self._folder / f"{name}.json"
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            for key, (reason, detail) in index["dropped"].items():
                self.dropped.setdefault(compact(key), Dropped(reason=reason, detail=detail))
            found = index["arrays"]
            self.keys += b"".join(map(compact, found))
            columns = self._columns
            columns["pack"].extend([self._packs] * len(found))
            for offset, dtype, shape in found.values():
                kind = (dtype, tuple(shape[1:]) if shape else None)
                columns["offset"].append(offset // _ALIGNMENT)
                columns["length"].append(shape[0] if shape else 1)
                columns["kind"].append(self.kinds.setdefault(kind, len(self.kinds)))
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:
            raise UserError(
                f"The index {path} is corrupt: {error}",
                hint="Delete it and run `allophone extract`.",
            ) from error
        self._packs += 1

    def locations(self) -> Locations:
        return Locations(
            pack=np.array(self._columns["pack"], np.int32),
            offset=np.array(self._columns["offset"], np.uint32),
            length=np.array(self._columns["length"], np.uint32),
            kind=np.array(self._columns["kind"], np.int16),
        )


def _no_locations(count: int = 0) -> Locations:
    return Locations(
        pack=np.zeros(count, np.int32),
        offset=np.zeros(count, np.uint32),
        length=np.zeros(count, np.uint32),
        kind=np.zeros(count, np.int16),
    )


def _select(locations: Locations, rows: NDArray[np.int64]) -> Locations:
    return Locations(
        pack=locations.pack[rows],
        offset=locations.offset[rows],
        length=locations.length[rows],
        kind=locations.kind[rows],
    )


def _encoded(given: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """Return the name of an array's encoding and the encoded array.

    float32 samples that are exact multiples of 1/32768 are stored as 16 bits: half the size, lossless.
    """
    if given.dtype.hasobject:
        raise TypeError("Arrays of Python objects cannot be stored; use a str dtype for symbols.")
    given = np.ascontiguousarray(given).reshape(given.shape)
    little = given.astype(given.dtype.newbyteorder("<"), copy=False)
    if little.dtype == np.dtype("<f4") and little.ndim == 1 and little.size:
        with np.errstate(over="ignore"):  # Infinite values fail the range check below.
            scaled = little * np.float32(_SIXTEEN_BITS)
        if scaled.min() >= -_SIXTEEN_BITS and scaled.max() < _SIXTEEN_BITS:
            samples = scaled.astype("<i2")
            restored = samples.astype("<f4") / np.float32(_SIXTEEN_BITS)
            if np.array_equal(restored.view("<i4"), little.view("<i4")):
                return "pcm16", samples
    return little.dtype.str, little


def read_single_numbers(pack: Path, offsets: NDArray[np.uint32], dtype: str) -> NDArray[Any]:
    """Read many single numbers of a pack [N]; offsets are in units of 64 bytes. Raises UserError if it is truncated."""
    content, size = _map(pack), np.dtype(dtype).itemsize
    if not len(offsets):
        return np.zeros(0, dtype)
    starts = offsets.astype(np.int64) * _ALIGNMENT
    if int(starts.max()) + size > len(content):
        raise _truncated(pack)
    return content[starts[:, None] + np.arange(size)].view(dtype).ravel()


def read_together(
    pack: Path, offsets: NDArray[np.uint32], lengths: NDArray[np.uint32], dtype: str
) -> NDArray[Any]:
    """Read many lists of a pack, one after the other, like `read_single_numbers`."""
    content, size = _map(pack), np.dtype(dtype).itemsize
    starts = offsets.astype(np.int64) * _ALIGNMENT
    ends = starts + lengths.astype(np.int64) * size
    if len(ends) and int(ends.max()) > len(content):
        raise _truncated(pack)
    parts = [content[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return np.concatenate(parts).view(dtype)


def _truncated(pack: Path) -> UserError:
    return UserError(
        f"The feature pack {pack} is truncated.",
        hint="Delete it and its .json, and run `allophone extract`.",
    )


@functools.lru_cache(maxsize=256)
def _map(pack: Path) -> NDArray[np.uint8]:
    """Map a pack into memory. Each map keeps a file open, so the number of cached maps is limited."""
    try:
        if not pack.stat().st_size:
            return np.zeros(0, np.uint8)
        return np.asarray(np.memmap(pack, dtype=np.uint8, mode="r"))
    except OSError as error:
        raise UserError(
            f"The feature pack {pack} cannot be read: {error}",
            hint="Delete its .json and run `allophone extract`.",
        ) from error
