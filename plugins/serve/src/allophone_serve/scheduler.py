"""Worker threads that make the speech of all requests, a chunk at a time.

A worker always takes the request that needs a chunk most: first those that have no audio yet, in the order of their
arrival; then the one whose listener would run out of audio first. So a short sentence does not wait for the end of
a long text, and a request that is far ahead of its listener waits.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator

from allophone_serve.speaking import Piece

AHEAD = 1 << 20
"""Bytes that are made ahead for a client that reads slowly."""

_log = logging.getLogger(__name__)


class NoPlaceError(Exception):
    """All places are taken."""


class Job:
    """Speech that is being made. Iterating gives its pieces, in the event loop that submitted it.

    Errors of the synthesis are raised by the iteration. A job keeps its place until `cancel` is called, which must
    happen when nobody iterates any more, and may happen at any time, any number of times.

    arrival: when it was submitted, seconds of `time.monotonic`.
    started: when its first audio was ready; None before.
    seconds: the speech synthesized so far.
    busy: the time that this took, seconds.
    """

    def __init__(self, steps: Iterator[Piece], scheduler: Scheduler) -> None:
        self._steps = steps
        self._scheduler = scheduler
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[Piece | Exception | None] = deque()
        self._arrived = asyncio.Event()
        self.arrival = time.monotonic()
        self.busy = 0.0
        # What follows is guarded by the scheduler's lock.
        self.started: float | None = None
        self.seconds = 0.0
        self.buffered = 0
        self.held = False
        self.parked = False
        self.over = False

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    async def __anext__(self) -> Piece:
        while not self._pieces:
            self._arrived.clear()
            await self._arrived.wait()
        piece = self._pieces.popleft()
        if piece is None:
            raise StopAsyncIteration
        if isinstance(piece, Exception):
            raise piece
        self._scheduler.taken(self, len(piece.data))
        return piece

    def cancel(self) -> None:
        """Give the place back; nothing more is made."""
        self._scheduler.cancel(self)

    @property
    def urgency(self) -> tuple[bool, float]:
        """Sorts jobs: the least is next."""
        if self.started is None:
            return False, self.arrival
        return True, self.started + self.seconds

    def step(self) -> Piece | Exception | None:
        """Make the next piece, in a worker. None at the end."""
        begin = time.monotonic()
        try:
            return next(self._steps, None)
        except Exception as error:
            return error
        finally:
            self.busy += time.monotonic() - begin

    def close(self) -> None:
        """End the generator, so that it lets go of the encoder. Not while it is held by a worker."""
        getattr(self._steps, "close", lambda: None)()

    def deliver(self, piece: Piece | Exception | None) -> None:
        """Hand a piece from a worker to the event loop."""
        try:
            self._loop.call_soon_threadsafe(self._receive, piece)
        except RuntimeError:
            _log.debug("a piece came after the event loop was closed")

    def _receive(self, piece: Piece | Exception | None) -> None:
        self._pieces.append(piece)
        self._arrived.set()


class Scheduler:
    """Makes the speech of all requests.

    places: how many jobs there may be at once.
    workers: how many threads make their speech.
    """

    def __init__(self, *, places: int, workers: int) -> None:
        self.places = places
        self._changed = threading.Condition()
        self._waiting: list[tuple[tuple[bool, float], int, Job]] = []
        self._numbers = itertools.count()
        self._jobs: set[Job] = set()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"speaker-{number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def taken_places(self) -> int:
        """How many jobs there are."""
        return len(self._jobs)

    def waiting(self) -> int:
        """How many jobs have no audio yet."""
        with self._changed:
            return sum(job.started is None for job in self._jobs)

    def submit(self, steps: Iterator[Piece], *, reserved: bool = False) -> Job:
        """Take a place and begin. Raises NoPlaceError if there is none.

        reserved: take a place even so, for a client that was let in before.
        """
        with self._changed:
            if self._stopped or (len(self._jobs) >= self.places and not reserved):
                raise NoPlaceError
            job = Job(steps, self)
            self._jobs.add(job)
            self._push(job)
        return job

    def cancel(self, job: Job) -> None:
        """See `Job.cancel`."""
        with self._changed:
            if job.over:
                return
            job.over = True
            self._jobs.discard(job)
            if job.held:
                return  # The worker that holds it closes it.
        job.close()

    def taken(self, job: Job, size: int) -> None:
        """Note that the client of a job took `size` bytes."""
        with self._changed:
            job.buffered -= size
            if job.parked and job.buffered < AHEAD:
                job.parked = False
                self._push(job)

    def stop(self) -> None:
        """End the workers, each after its chunk."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _push(self, job: Job) -> None:
        heapq.heappush(self._waiting, (job.urgency, next(self._numbers), job))
        self._changed.notify()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            piece = job.step()
            self._give_back(job, piece)

    def _next(self) -> Job | None:
        with self._changed:
            while not self._stopped:
                while self._waiting:
                    _, _, job = heapq.heappop(self._waiting)
                    if not job.over:
                        job.held = True
                        return job
                self._changed.wait()
        return None

    def _give_back(self, job: Job, piece: Piece | Exception | None) -> None:
        with self._changed:
            job.held = False
            cancelled = job.over
            if not cancelled and isinstance(piece, Piece):
                if job.started is None and piece.seconds:
                    job.started = time.monotonic()
                job.seconds += piece.seconds
                job.buffered += len(piece.data)
                job.deliver(piece)
                if job.buffered < AHEAD:
                    self._push(job)
                else:
                    job.parked = True
                return
        if cancelled:
            job.close()
        else:
            job.deliver(piece)
