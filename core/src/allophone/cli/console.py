"""The rich consoles and progress bar of the commands. Imported only when needed, to keep startup fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")

console = Console(highlight=False)
"""Writes results to standard output."""

status = Console(stderr=True, highlight=False)
"""Writes progress, notes and warnings to standard error, so that piped output contains only results."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="progress.data.speed")


def track(items: Iterable[T], *, total: int | None, description: str) -> Iterator[T]:
    """Show a progress bar with rate and remaining time on a terminal, and nothing otherwise."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=status, disable=not status.is_terminal) as progress:
        yield from progress.track(items, total=total, description=description)
