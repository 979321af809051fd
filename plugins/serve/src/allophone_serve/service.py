"""What all ways in share: voices, limits, the scheduler and its metrics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from allophone.errors import UserError
from allophone_serve.cache import Cache
from allophone_serve.errors import ApiError, full
from allophone_serve.metrics import Metrics
from allophone_serve.options import Options
from allophone_serve.scheduler import Job, NoPlaceError, Scheduler
from allophone_serve.speaking import Piece
from allophone_serve.voices import Voices

_log = logging.getLogger(__name__)


class Service:
    """A server, without the protocols that it speaks.

    ending: set when the server ends: what has begun is finished, and nothing new begins.
    websockets: how many WebSockets are open.
    """

    def __init__(self, voices: Voices, options: Options) -> None:
        self.voices = voices
        self.options = options
        self.scheduler = Scheduler(places=options.places, workers=options.workers)
        self.metrics = Metrics(self.scheduler)
        self.cache = Cache(options.cache) if options.cache else None
        self.ending = asyncio.Event()
        self.websockets = 0

    @asynccontextmanager
    async def job(
        self, way: str, steps: Iterator[Piece], *, reserved: bool = False
    ) -> AsyncIterator[Job]:
        """A place in the scheduler, for as long as the block lasts; the outcome is counted.

        Errors of the block and of the synthesis are raised as ApiError. So is the end of the time that the
        request may take.
        """
        try:
            job = self.scheduler.submit(steps, reserved=reserved)
        except NoPlaceError:
            self.metrics.count(way, "refused")
            raise full() from None
        outcome = "done"
        try:
            async with asyncio.timeout(self.options.timeout):
                yield job
        except TimeoutError:
            outcome = "timeout"
            raise _too_slow() from None
        except (asyncio.CancelledError, ConnectionError):
            outcome = "left"
            raise
        except UserError as error:
            outcome = "refused"
            message = str(error).replace("\n", " ")
            raise ApiError(status=400, message=message, param="input") from error
        except ApiError:
            outcome = "failed"
            raise
        except Exception as error:
            outcome = "failed"
            _log.exception("The synthesis failed.")
            raise ApiError(status=500, message="The synthesis failed; the log says why.") from error
        finally:
            job.cancel()
            self.metrics.count(way, outcome, job)

    async def pieces(self, job: Job) -> AsyncIterator[Piece]:
        """The pieces of a job. Raises TimeoutError if the first comes too late."""
        async with asyncio.timeout(self.options.first_timeout):
            piece = await anext(job, None)
        while piece is not None:
            yield piece
            piece = await anext(job, None)

    def stop(self) -> None:
        """End the threads."""
        self.scheduler.stop()


def _too_slow() -> ApiError:
    return ApiError(
        status=503,
        message="The server is too busy to speak in time. Try again later.",
        code="timeout",
        headers={"Retry-After": "5"},
    )
