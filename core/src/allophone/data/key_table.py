"""Rows by key, for millions of keys: sorted numbers instead of a dictionary of strings. Imports NumPy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 16


def compact(key: str) -> bytes:
    """Return the 16 bytes of a key; the digests of `allophone.data.digests` are these in hexadecimal."""
    if len(key) == 2 * KEY_BYTES:
        try:
            return bytes.fromhex(key)
        except ValueError:
            pass
    return hashlib.blake2b(key.encode(), digest_size=KEY_BYTES).digest()


class KeyTable:
    """The rows of keys. `kept` has the rows in the order of their keys; of equal keys, the last row."""

    def __init__(self, keys: bytes | bytearray) -> None:
        """Sort compact keys, which are given one after the other."""
        halves = np.frombuffer(keys, "<u8").reshape(-1, 2)
        order = np.lexsort((halves[:, 1], halves[:, 0]))
        high, low = halves[order, 0], halves[order, 1]
        last = np.ones(len(order), bool)
        last[:-1] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        self.kept = order[last]
        self._high, self._low = high[last], low[last]

    def __len__(self) -> int:
        return len(self._high)

    def find(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the position of each key in `kept`, -1 for those that are not there."""
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        halves = np.frombuffer(b"".join(keys), "<u8").reshape(-1, 2)
        high, low = halves[:, 0], halves[:, 1]
        found = np.searchsorted(self._high, high, side="right") - 1
        # Two keys can have the same first half, though that is next to impossible.
        while (
            other := (found >= 0) & (self._high[found] == high) & (self._low[found] != low)
        ).any():
            found[other] -= 1
        found[(found >= 0) & (self._high[found] != high)] = -1
        return found
