"""How long work tells how far it is, without knowing who watches.

A function that takes long has a parameter `track: Track = untracked` and wraps what it goes through:
`for item in track(items, total=len(items), description="Reading")`. The command line passes a progress
bar; everybody else passes nothing. Where nobody knows how much there is, `total` is None. Light.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Passes items on and counts them."""

    def __call__(
        self, items: Iterable[T], *, total: int | None, description: str
    ) -> Iterable[T]: ...


def untracked(items: Iterable[T], *, total: int | None, description: str) -> Iterable[T]:
    """Nobody watches."""
    del total, description
    return items
