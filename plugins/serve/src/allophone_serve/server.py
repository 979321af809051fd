"""Runs the servers of all protocols in one event loop, until SIGINT or SIGTERM."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

import uvicorn
from starlette.applications import Starlette

from allophone.errors import UserError
from allophone_serve.app import build_app
from allophone_serve.options import Options
from allophone_serve.service import Service


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UserError if it cannot.

    port: 0 chooses a free one.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise UserError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}.",
            hint="Choose another --port, or end the program that uses it.",
        ) from error


def serve(
    service: Service,
    listening: socket.socket,
    *,
    beside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
) -> None:
    """Serve until a signal; what has begun is finished then. A second SIGINT cuts it off.

    beside: what else runs in the event loop meanwhile.
    """
    make_server(build_app(service, beside=beside), service.options).run(sockets=[listening])


def make_server(app: Starlette, options: Options) -> uvicorn.Server:
    """A server of an application, which is not running yet."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            ws="websockets-sansio",
            ws_max_size=options.body,
            server_header=False,
            access_log=False,
            timeout_graceful_shutdown=round(options.timeout) + 1,
        )
    )
