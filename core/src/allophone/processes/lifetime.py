"""Processes that belong together: what they do with signals, and how they end with the one that started them. Light."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from allophone.errors import UserError

STOPS = (signal.SIGTERM, signal.SIGINT)
"""The signals that ask a process to stop: from a scheduler, a container, `timeout`, or Ctrl-C."""

_LIFELINE = "ALLOPHONE_LIFELINE"


class ProcessKilledError(UserError):
    """A process that did part of the work was killed from outside; doing it again may succeed."""


def ignore_stops(_: int = 0) -> None:
    """Leave it to another process to act on SIGTERM and SIGINT.

    Schedulers and terminals signal every process of a job. A data worker that ended by itself would
    take away the batches that the training process needs for its last step.
    """
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


@contextmanager
def stops_held_back() -> Iterator[None]:
    """Deliver SIGTERM and SIGINT after the block.

    Processes started inside begin with both signals blocked, until they call `ignore_stops`.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Lifeline:
    """A pipe whose writing end only this process holds: it closes when this process ends, however it ends.

    Processes that are started with `inherited` and `environment` end as well, once they have called
    `end_with_lifeline`.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    @property
    def inherited(self) -> tuple[int, ...]:
        """The `pass_fds` of `subprocess.Popen`."""
        return (self._reading,)

    @property
    def environment(self) -> dict[str, str]:
        """What tells a process of its lifeline."""
        return {_LIFELINE: str(self._reading)}

    def close(self) -> None:
        """End the processes that hold on to it."""
        os.close(self._writing)
        os.close(self._reading)


def end_with_lifeline() -> None:
    """Kill this process when the one that holds its lifeline ends, or has already; nothing without one."""
    descriptor = os.environ.pop(_LIFELINE, None)
    if descriptor is not None:
        threading.Thread(target=_hold, args=(int(descriptor),), daemon=True).start()


def _hold(descriptor: int) -> None:
    # Nothing is ever written: the read returns when the other end is closed.
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def how_ended(status: int) -> str:
    """What became of a process, from the exit status that Python gives it: "was killed by SIGKILL"."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
