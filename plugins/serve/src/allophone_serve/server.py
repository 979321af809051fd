"""Runs an application until SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from allophone.errors import UserError
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


def serve(app: Starlette, listening: socket.socket, options: Options) -> None:
    """Serve until a signal; what has begun is finished then. A second SIGINT cuts it off."""
    make_server(app, options).run(sockets=[listening])


def make_server(app: Starlette, options: Options) -> uvicorn.Server:
    """A server of an application, which is not running yet."""
    return _Server(
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


class _Server(uvicorn.Server):
    """Lets WebSockets finish what they have begun; uvicorn closes them at once."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        service: Service = self.config.app.state.service  # type: ignore[union-attr]
        service.ending.set()
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            if not isinstance(connection, WebSocketsSansIOProtocol):
                connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(service.options.timeout):
                while service.websockets and not self.force_exit:
                    await asyncio.sleep(0.05)
        await super().shutdown(sockets)
