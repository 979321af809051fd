"""What this plugin offers: the executor `ray`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import ExecutorEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_executors() -> Iterator[ExecutorEntry]:
    yield ExecutorEntry(
        name="ray",
        summary="Tasks on a Ray cluster, or on a local one that is started for them.",
        executor="allophone_ray.executor:RayTasks",
    )
