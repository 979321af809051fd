"""Executors run the parts of a long task in other processes: of this machine, or of a cluster. Light.

    task = Task(start="allophone.preparation.worker:start", arguments=(tables,))
    for part, result in executor.run(task, parts):
        ...

The results do not depend on the executor: each part is computed on its own, with one thread, and can be computed
again anywhere. What a task writes goes to folders that all of its processes share.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

from allophone.entries import Ref, as_ref
from allophone.errors import UserError
from allophone.processes.lifetime import ignore_stops, stops_held_back
from allophone.processes.processors import usable_processors
from allophone.registry import Registry

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Environment variables that an executor sets to 1 in its processes, before heavy imports: there is one process per core."""

LOCAL = "local"
"""The executor of the core."""

P = TypeVar("P")
F = TypeVar("F", bound=Callable[..., Any])


@frozen(kw_only=True)
class Task:
    """What is done with each part.

    start: `(*arguments) -> Callable[[part], result]`, called once in each process.
    arguments: plain data, as are parts and results: they are pickled.
    """

    start: Ref = field(converter=as_ref)
    arguments: tuple[Any, ...] = ()

    def open(self) -> Callable[[Any], Any]:
        """Return the function for the parts."""
        run: Callable[[Any], Any] = self.start.load()(*self.arguments)
        return run


class Executor(Protocol):
    """Runs parts of tasks. An `ExecutorEntry` names how one is made: `(workers: int | None) -> Executor`."""

    def run(self, task: Task, parts: Sequence[P]) -> Iterator[tuple[P, Any]]:
        """Yield each part with its result, in any order.

        Raises what the task raises for a part, and UserError if processes die and the part cannot be run again.
        """
        ...


class LocalProcesses:
    """Runs parts in processes of this machine."""

    def __init__(self, workers: int | None = None) -> None:
        """workers: the number of processes; by default one per core."""
        self._workers = workers or usable_processors()

    def run(self, task: Task, parts: Sequence[P]) -> Iterator[tuple[P, Any]]:
        """Yield each part with its result as it is completed."""
        if not parts:
            return
        pool = ProcessPoolExecutor(
            min(self._workers, len(parts)),
            mp_context=get_context("spawn"),
            initializer=_start,
            initargs=(task,),
        )
        try:
            with stops_held_back():
                futures = {pool.submit(_call, part): part for part in parts}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise UserError(
                "A worker process died; the system may have run out of memory.",
                hint="What was finished is kept. Run the command again, with fewer --workers.",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def open_executor(name: str | None, workers: int | None, registry: Registry) -> Executor | None:
    """Make the executor that a command's options name; None to work in the process of the command.

    workers: the number of its processes, None for as many as it can use.
    Raises PluginError if none has this name, and UserError for workers without an executor.
    """
    if name is None:
        if workers is not None:
            raise UserError(
                f"--workers {workers} was given without --executor.",
                hint="Add --executor local, for processes of this machine.",
            )
        return None
    executor: Executor = registry.load("executors", name, "executor")(workers)
    return executor


def executor_options(default: str | None) -> Callable[[F], F]:
    """Add the options of a command whose work can be divided: --executor and --workers.

    default: the executor; None to work in the process of the command.
    """
    import click

    executor = click.option(
        "--executor",
        default=default,
        metavar="NAME",
        help="Where to work: local (processes of this machine), or the name of a plugin's executor.  "
        f"[default: {default or 'in this process'}]",
    )
    workers = click.option(
        "--workers",
        type=click.IntRange(min=1),
        help="The number of processes of --executor.  [default: one per CPU core]",
    )
    return lambda command: executor(workers(command))


_run: Callable[[Any], Any] | None = None


def _start(task: Task) -> None:
    """Initialize a worker process, which ignores SIGTERM and SIGINT and exits when its parent does."""
    global _run
    os.environ.update(dict.fromkeys(THREADS, "1"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ignore_stops()
    _run = task.open()


def _call(part: Any) -> Any:
    assert _run is not None
    return _run(part)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    # Not sys.exit: the main thread is blocked on a queue that is no longer written to.
    os._exit(1)
