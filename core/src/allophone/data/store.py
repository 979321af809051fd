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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.atomic import atomic_write, remove_abandoned
from allophone.data.manifest import Dropped
from allophone.errors import UserError
from allophone.parsing import read_json_object

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
            raise UserError(
                f"The feature pack {self.pack} is truncated.",
                hint="Delete it and its .json, and run `allophone extract`.",
            )
        array = content[self.offset : end].view(dtype).reshape(self.shape)
        return array.astype(np.float32) / np.float32(_SIXTEEN_BITS) if pcm else array


class FeatureStore:
    """The stored arrays of one extractor, in one folder."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Read the indexes of a folder, if it exists.

        key: the extractor's key, written to the folder for reference.
        """
        self._folder = folder
        self._key = key
        self._found: dict[str, StoredArray | Dropped] = {}
        for path in sorted(folder.glob("*.json")):
            if path.name != "key.json":
                self._read_index(path)

    def find(self, key: str) -> StoredArray | Dropped | None:
        """Return the array of an utterance's key, why it was dropped, or None if not extracted yet."""
        return self._found.get(key)

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
        if not (self._folder / "key.json").exists():
            with atomic_write(self._folder / "key.json") as file:
                file.write(json.dumps(self._key, ensure_ascii=False, indent=1).encode() + b"\n")
        with atomic_write(self._folder / f"{name}.bin") as file:
            file.write(content)
        with atomic_write(self._folder / f"{name}.json") as file:
            file.write(index)
        self._read_index(self._folder / f"{name}.json")

    def clean(self) -> None:
        """Remove incomplete files of killed processes."""
        remove_abandoned(self._folder)

    def _read_index(self, path: Path) -> None:
        hint = "Delete it and run `allophone extract`."
        index = read_json_object(path, hint=hint)
        pack = path.with_suffix(".bin")
        try:
            for key, (reason, detail) in index["dropped"].items():
                self._found.setdefault(key, Dropped(reason=reason, detail=detail))
            for key, (offset, dtype, shape) in index["arrays"].items():
                self._found[key] = StoredArray(pack, offset, dtype, tuple(shape))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"{path} is not an index of features: {error}", hint=hint) from error


def _encoded(array: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    """Return the name of an array's encoding and the encoded array.

    float32 samples that are exact multiples of 1/32768 are stored as 16 bits: half the size, lossless.
    """
    if array.dtype.hasobject:
        raise TypeError("Arrays of Python objects cannot be stored; use a str dtype for symbols.")
    array = np.ascontiguousarray(array).reshape(array.shape)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if little.dtype == np.dtype("<f4") and little.ndim == 1 and little.size:
        with np.errstate(over="ignore"):  # Infinite values fail the range check below.
            scaled = little * np.float32(_SIXTEEN_BITS)
        if scaled.min() >= -_SIXTEEN_BITS and scaled.max() < _SIXTEEN_BITS:
            samples = scaled.astype("<i2")
            restored = samples.astype("<f4") / np.float32(_SIXTEEN_BITS)
            if np.array_equal(restored.view("<i4"), little.view("<i4")):
                return "pcm16", samples
    return little.dtype.str, little


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
