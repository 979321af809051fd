"""Progress reporting for long-running functions.

Such a function has a parameter `track: Track = untracked` and wraps its loop in it:
`for item in track(items, total=len(items), description="Reading")`. The command line passes a progress bar.
`total` is None if the number of items is unknown. Light.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Yields the items and reports progress."""

    def __call__(
        self, items: Iterable[T], *, total: int | None, description: str
    ) -> Iterable[T]: ...


def untracked(items: Iterable[T], *, total: int | None, description: str) -> Iterable[T]:
    """Return the items without reporting progress."""
    del total, description
    return items
