"""Signals that ask a run to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from attrs import define

from allophone.processes.lifetime import STOPS

_SAME = 1.0
"""Seconds in which signals count as one: a scheduler and the launcher both pass on the same request."""

_AT_ONCE = 3
"""The request that is not waited for any more."""


@define
class StopRequest:
    """Whether this process was asked to stop, how often, and by the signal of which number, lastly.

    heeded: whether someone looks at this, and ends in good order. Until then a signal acts as it always does.
    """

    number: int = 0
    times: int = 0
    heeded: bool = False
    _at: float = 0.0

    def __bool__(self) -> bool:
        return self.times > 0

    @property
    def name(self) -> str:
        """The name of the signal: "SIGTERM"."""
        return signal.Signals(self.number).name

    def _handle(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if not self.times or now - self._at > _SAME:
            self.number, self.times, self._at = number, self.times + 1, now
        if not self.heeded or self.times >= _AT_ONCE:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # What comes of it is up to the system, or to Python.
            os.kill(os.getpid(), number)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Take SIGTERM and SIGINT as requests, once `heeded` is set; the third request ends the process at once.

    The second one changes nothing, as the run is already about to save and end: schedulers repeat their
    signals, and people press Ctrl-C twice. What was done with the signals before is put back afterwards.

    Python handles signals in the main thread alone: in another one nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in STOPS}
    for number in STOPS:
        signal.signal(number, request._handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
