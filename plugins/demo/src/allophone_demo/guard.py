"""Which requests the server of the page accepts.

A page of another site can make a browser send requests to this machine: by a form, or under a host name of its own
that resolves to this machine (DNS rebinding). Names and sizes are checked before Gradio sees a request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_UPLOAD = 20_000_000
"""Bytes of a reference recording: a minute of stereo in 32 bits at 44.1 kHz."""

_MAX_BODY = 1_000_000
"""Bytes of any other request."""

_UPLOAD = "/upload"
_MULTIPART = 10_000
"""Bytes around the file of an upload."""


def allowed_hosts(address: str, more: Iterable[str] = ()) -> frozenset[str] | None:
    """The names under which a page can be requested; None for any.

    address: what the server listens on. If that is all addresses of the machine (0.0.0.0), any name is
        allowed, unless there are `more`.
    """
    more = tuple(more)
    if address in ("", "0.0.0.0", "::") and not more:
        return None
    return frozenset(name.lower() for name in ("localhost", address, *more) if name)


class Guard:
    """Middleware that refuses requests for other host names, uploads that nobody needs, and large bodies."""

    def __init__(
        self, app: ASGIApp, *, hosts: frozenset[str] | None, uploads: Callable[[], bool]
    ) -> None:
        """hosts: see `allowed_hosts`. uploads: whether a voice takes recordings now."""
        self._app = app
        self._hosts = hosts
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = None
        limit = _MAX_BODY
        if not _is_allowed(headers.get("host", ""), self._hosts):
            refusal = (
                "This host name is not allowed. Open the page at the address that the command printed, or start "
                "it with --allow-host and this name.",
                403,
            )
        elif scope["path"].endswith(_UPLOAD):
            limit = MAX_UPLOAD + _MULTIPART
            if not self._uploads():
                refusal = "No voice of this page takes recordings.", 403
        if refusal is None and _stated_length(headers) > limit:
            refusal = f"The request is too large; expected at most {limit:,} bytes.", 413
        if refusal is None:
            await self._app(scope, _Limited(receive, limit), send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[0][:120]})
        else:
            await PlainTextResponse(*refusal)(scope, receive, send)


class _Limited:
    """Receives a body, and ends it as if the client had gone when it is larger than it may be."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                return {"type": "http.disconnect"}
        return message


def _is_allowed(header: str, hosts: frozenset[str] | None) -> bool:
    """Whether a Host header has an allowed name, or an address: those cannot be rebound."""
    if hosts is None:
        return True
    name, bracket, _ = header.lower().rpartition("]")
    name = name.removeprefix("[") if bracket else header.lower().partition(":")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.removesuffix(".") in hosts
    return True


def _stated_length(headers: Headers) -> int:
    stated = headers.get("content-length", "")
    return int(stated) if stated.isdecimal() else 0
