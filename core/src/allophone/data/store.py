"""The feature store: arrays on disk, packed some hundred to a file and read through memory maps.

    features/phonemes-5c0f1be2/
        key.json                        what decides the content: the extractor's key
        4bd1...e9.bin, 4bd1...e9.json   a pack of arrays, and the index that commits it

An array is found by the digest of what it was made of, so a changed text or recording is simply not
there yet, and what is there is never out of date. A pack is called after its content and takes its
name when it is whole; its index is renamed last. A process may be killed at any moment: what it had
committed stays, what it had not is done again, under the same names.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.atomic import atomic_write, remove_abandoned
from allophone.data.manifest import Dropped
from allophone.errors import UserError

_ALIGNMENT = 64
_SIXTEEN_BITS = 32768.0


@frozen
class StoredArray:
    """Where an array lies. `read` is cheap, and gives the array bit for bit as it was stored."""

    pack: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def is_text(self) -> bool:
        """Whether it holds symbols rather than numbers."""
        return self.dtype.startswith("<U")

    def read(self) -> NDArray[Any]:
        """A read-only view of the pack, without a copy unless it was stored as 16 bits."""
        pcm = self.dtype == "pcm16"
        dtype = np.dtype("<i2" if pcm else self.dtype)
        content = _map(self.pack)
        end = self.offset + dtype.itemsize * math.prod(self.shape)
        if end > len(content):
            raise UserError(
                f"The feature pack {self.pack} is shorter than its index says.",
                hint="Delete it with its .json and run `allophone extract`.",
            )
        array = content[self.offset : end].view(dtype).reshape(self.shape)
        return array.astype(np.float32) / np.float32(_SIXTEEN_BITS) if pcm else array


class FeatureStore:
    """The arrays of one extractor, in one folder."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Read the indexes of a folder, which need not exist yet.

        key: what decides the content, kept in the folder for whoever wonders.
        """
        self._folder = folder
        self._key = key
        self._found: dict[str, StoredArray | Dropped] = {}
        for path in sorted(folder.glob("*.json")):
            if path.name != "key.json":
                self._read_index(path)

    def find(self, key: str) -> StoredArray | Dropped | None:
        """The array of an utterance's key, why there is none, or None where nobody has tried."""
        return self._found.get(key)

    def commit(self, results: Mapping[str, NDArray[Any] | Dropped]) -> None:
        """Store some results in a pack of their own: all of them or, if interrupted, none."""
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
        if not (self._folder / "key.json").exists():
            with atomic_write(self._folder / "key.json") as file:
                file.write(json.dumps(self._key, ensure_ascii=False, indent=1).encode() + b"\n")
        with atomic_write(self._folder / f"{name}.bin") as file:
            file.write(content)
        with atomic_write(self._folder / f"{name}.json") as file:
            file.write(index)
        self._read_index(self._folder / f"{name}.json")

    def clean(self) -> None:
        """Remove what killed processes have left half-written."""
        remove_abandoned(self._folder)

    def _read_index(self, path: Path) -> None:
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(
                f"The index {path} is damaged: {error}",
                hint="Delete it and run `allophone extract`.",
            ) from error
        pack = path.with_suffix(".bin")
        for key, (reason, detail) in index["dropped"].items():
            self._found.setdefault(key, Dropped(reason=reason, detail=detail))
        for key, (offset, dtype, shape) in index["arrays"].items():
            self._found[key] = StoredArray(pack, offset, dtype, tuple(shape))


def _encoded(array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """An array as it is stored, and the name of its encoding.

    float32 samples that came from 16 bits are stored as those again: half the size, and nothing lost.
    """
    if array.dtype.hasobject:
        raise TypeError("An array of Python objects cannot be stored; symbols need a dtype of str")
    array = np.ascontiguousarray(array).reshape(array.shape)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if little.dtype == np.dtype("<f4") and little.ndim == 1 and little.size:
        with np.errstate(over="ignore"):  # What becomes infinite is refused below.
            scaled = little * np.float32(_SIXTEEN_BITS)
        if scaled.min() >= -_SIXTEEN_BITS and scaled.max() < _SIXTEEN_BITS:
            samples = scaled.astype("<i2")
            restored = samples.astype("<f4") / np.float32(_SIXTEEN_BITS)
            if np.array_equal(restored.view("<i4"), little.view("<i4")):
                return "pcm16", samples
    return little.dtype.str, little


@functools.lru_cache(maxsize=256)
def _map(pack: Path) -> NDArray[np.uint8]:
    """A pack, mapped into memory. Each map holds a file open, hence no more than so many."""
    try:
        if not pack.stat().st_size:
            return np.zeros(0, np.uint8)
        return np.asarray(np.memmap(pack, dtype=np.uint8, mode="r"))
    except OSError as error:
        raise UserError(
            f"The feature pack {pack} cannot be read: {error}",
            hint="Delete its .json and run `allophone extract`.",
        ) from error
