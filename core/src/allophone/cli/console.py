"""How commands show tables and progress. Imported by the commands that do, never at start-up."""

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
"""Results: standard output."""

status = Console(stderr=True, highlight=False)
"""Progress, remarks and warnings: standard error, so that piped output holds results only."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="progress.data.speed")


def track(items: Iterable[T], *, total: int | None, description: str) -> Iterator[T]:
    """A progress bar with rate and time left on a terminal; nothing where output is piped."""
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
