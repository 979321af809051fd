"""The page of `allophone demo`, which speaks with the voices of the server and in its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from starlette.applications import Starlette

from allophone.errors import UserError
from allophone.registry import Registry
from allophone_serve.errors import ApiError
from allophone_serve.service import Service
from allophone_serve.speaking import Piece

if TYPE_CHECKING:
    from allophone_demo.voices import Said

LIMIT = 1000
"""The most characters of a text: it is synthesized in one go, while other requests wait for the thread."""


def mount_page(
    app: Starlette,
    service: Service,
    registry: Registry,
    *,
    host: str,
    allow_hosts: Iterable[str] = (),
) -> None:
    """Serve the page under `/`. Raises UserError if it is not installed, or if the server has API keys.

    host: what the server listens on. allow_hosts: further names under which it may be requested.
    """
    if service.options.keys:
        raise UserError(
            "--page cannot be used with API keys, which the page cannot send.",
            hint="Leave out one of both, or run `allophone demo` beside the server.",
        )
    try:
        from allophone_demo.guard import allowed_hosts
        from allophone_demo.page import mount
        from allophone_demo.voices import share_voices
    except ModuleNotFoundError as error:
        raise UserError(
            f"--page needs the package {error.name}, which is not installed.",
            hint="pip install 'allophone-serve[page]'",
        ) from error
    voices = share_voices(
        service.voices.by_name,
        limit=min(LIMIT, service.options.characters),
        registry=registry,
        perform=lambda say: asyncio.run(perform(service, say)),
    )
    mount(app, voices, hosts=allowed_hosts(host, allow_hosts))


async def perform(service: Service, say: Callable[[], Said]) -> Said:
    """Synthesize in a thread of the scheduler, with a place; in any event loop. Raises UserError."""
    said = []

    def steps() -> Iterator[Piece]:
        said.append(say())
        yield Piece(data=b"", seconds=said[0].waveform.seconds)

    try:
        async with service.job("page", steps()) as job:
            async for _ in job:
                pass
    except ApiError as error:
        raise UserError(error.message) from error
    return said[0]
