"""The executor `ray`: each part is a Ray task with one CPU."""

from __future__ import annotations

import logging
import os
import pickle
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import ray
from attrs import frozen
from ray.exceptions import RayError, RayTaskError

from allophone.errors import UserError
from allophone.processes.executors import THREADS, Task

_RETRIES = 5
"""How often a part is run again whose process or node has died."""
_IN_FLIGHT = 4
"""Parts that are submitted for each CPU at a time, so that those of long tasks do not fill the driver's memory."""

_STOPS = (signal.SIGTERM, signal.SIGINT)
_ANSWER = 10.0
"""Seconds to wait for an answer from `RAY_ADDRESS`."""
_HOST_AND_PORT = re.compile(r"(?P<host>[^/:]+):(?P<port>\d+)")

P = TypeVar("P")


class RayTasks:
    """Runs parts as tasks on the cluster that `RAY_ADDRESS` names or Ray finds, or on a local one."""

    def __init__(self, workers: int | None = None) -> None:
        """workers: how many parts run at a time; by default as many as the cluster has CPUs."""
        self._workers = workers

    def run(self, task: Task, parts: Sequence[P]) -> Iterator[tuple[P, Any]]:
        """Yield each part with its result as it is completed.

        A part whose node or process dies is run again elsewhere, a few times. Raises what the task raises for a
        part, and UserError if a part has killed its process each time or the cluster cannot be reached.
        """
        if not parts:
            return
        with _connected():
            yield from self._run(task, parts)

    def _run(self, task: Task, parts: Sequence[P]) -> Iterator[tuple[P, Any]]:
        # Once in the cluster's memory, not once for each part.
        setup = ray.put(_Setup(content=pickle.dumps(task), folder=os.getcwd()))
        remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_call)
        waiting = iter(parts)
        running: dict[Any, P] = {}
        while True:
            for part in waiting:
                running[remote.remote(setup, part)] = part
                if len(running) >= self._at_once():
                    break
            if not running:
                return
            done, _ = ray.wait(list(running))
            for reference in done:
                part = running.pop(reference)
                yield part, _result(reference)

    def _at_once(self) -> int:
        if self._workers:
            return self._workers
        # Asked again and again, since nodes come and go.
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return _IN_FLIGHT * max(1, int(resources.get("CPU", 1)))


@frozen(kw_only=True)
class _Setup:
    """A pickled task, and the folder in which it was given its paths."""

    content: bytes
    folder: str


_opened: tuple[_Setup, Callable[[Any], Any]] | None = None
"""The task that this process of the cluster has opened: Ray lets a process run many parts."""


def _call(setup: _Setup, part: Any) -> Any:
    """Run a part in a process of the cluster."""
    global _opened
    if _opened is None or _opened[0] != setup:
        os.environ.update(dict.fromkeys(THREADS, "1"))
        try:
            os.chdir(setup.folder)
        except OSError as error:
            raise UserError(
                f"A node of the cluster does not have the folder {setup.folder}: {error.strerror}.",
                hint="Run the command in a folder that all nodes share, at the same path.",
            ) from error
        _opened = setup, pickle.loads(setup.content).open()
    return _opened[1](part)


def _result(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        raise UserError(
            f"A part of the work has killed its process {_RETRIES + 1} times: {_first_line(error)}",
            hint="The nodes may have too little memory: give --workers fewer than they have CPUs. What was "
            "finished is kept; run the command again.",
        ) from error


@contextmanager
def _connected() -> Iterator[None]:
    """Use Ray as it is connected, or connect for the block."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    # Only the main thread may set handlers, and Ray sets them there.
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in _STOPS if main}
    try:
        if address and (found := _HOST_AND_PORT.fullmatch(address)):
            # Ray itself waits for minutes.
            socket.create_connection((found["host"], int(found["port"])), timeout=_ANSWER).close()
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except Exception as error:  # A node that does not start in time raises no narrower class.
        raise UserError(
            f"Ray cannot be {f'reached at {address}' if address else 'started'}: {_first_line(error)}",
            hint="Check RAY_ADDRESS, and the cluster with `ray status`."
            if address
            else "A machine that is very busy cannot start it in time; try again.",
        ) from error
    finally:
        # Ray's own end the process at once.
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
