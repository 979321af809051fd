"""Stopping when asked to: the first signal ends the run at the next step, the second one at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from attrs import define

_SAME = 1.0
"""Seconds in which signals count as one: a terminal and a launcher both pass on the same Ctrl-C."""


@define
class StopRequest:
    """Whether somebody asked this process to stop, and with which signal ("SIGTERM")."""

    signal: str | None = None
    at: float = 0.0

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Take SIGTERM and SIGINT as requests; what was done with them before is put back afterwards.

    Python handles signals in the main thread alone: in another one nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, _: FrameType | None) -> None:
        if not request:
            request.signal, request.at = signal.Signals(number).name, time.monotonic()
        elif time.monotonic() - request.at > _SAME:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.kill(os.getpid(), number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
