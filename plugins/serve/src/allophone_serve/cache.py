"""Finished speech, kept in memory for requests that are made again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator

from allophone_serve.speaking import Piece


class Cache:
    """Keeps the pieces of whole responses, at most `limit` bytes of them; those used least recently go first.

    Speech depends on nothing but the request, since its seed is fixed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[Hashable, tuple[Piece, ...]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, key: Hashable, steps: Iterator[Piece]) -> Iterator[Piece]:
        """The kept pieces of a request; otherwise those of `steps`, which are kept at their end."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        if kept is not None:
            yield from kept
            return
        pieces: list[Piece] = []
        size = 0
        for piece in steps:
            size += len(piece.data)
            if size <= self._limit:
                pieces.append(piece)
            yield piece
        if size <= self._limit:
            self._keep(key, tuple(pieces))

    def _keep(self, key: Hashable, pieces: tuple[Piece, ...]) -> None:
        size = _size(pieces)
        with self._lock:
            if key in self._kept:
                return
            self._kept[key] = pieces
            self._size += size
            while self._size > self._limit:
                _, oldest = self._kept.popitem(last=False)
                self._size -= _size(oldest)


def _size(pieces: tuple[Piece, ...]) -> int:
    return sum(len(piece.data) for piece in pieces)
