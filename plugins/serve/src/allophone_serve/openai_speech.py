"""`POST /v1/audio/speech`: OpenAI's speech API."""

from __future__ import annotations

import asyncio
import base64
import json
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from allophone_serve.encoding import FORMATS, make_encoder
from allophone_serve.errors import ApiError
from allophone_serve.orders import Order, read_order
from allophone_serve.scheduler import Job
from allophone_serve.service import Service
from allophone_serve.speaking import pieces, samples_of

_DRAINED = 1 << 26
"""Bytes of a body that is too large, which are read so that the client gets the answer."""

_STALLED = 60.0
"""Seconds that a client may take to send its request, or to take a chunk."""


async def speech(request: Request) -> Response:
    """The handler of the route."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ApiError(status=415, message="Send JSON, with Content-Type: application/json.")
    service: Service = request.app.state.service
    body = await read_body(request, service.options.body)
    order = read_order(body, service.voices, characters=service.options.characters)
    return SpeechResponse(order, service)


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request. Raises ApiError if it has more than `limit` bytes, or takes too long."""
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(_STALLED):
            async for chunk in request.stream():
                size += len(chunk)
                if size <= limit:
                    body += chunk
                elif size > _DRAINED:
                    break
    except TimeoutError:
        raise ApiError(
            status=408, message="The body of the request did not arrive in time."
        ) from None
    if size > limit:
        raise ApiError(status=413, message=f"The body has more than {limit:,} bytes.")
    return bytes(body)


class SpeechResponse(Response):
    """Speaks an order while the client listens, and stops when it leaves."""

    def __init__(self, order: Order, service: Service) -> None:
        self._order = order
        self._service = service
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        speaking = asyncio.create_task(self._speak(scope, receive, send))
        leaving = asyncio.create_task(_disconnected(receive))
        both = {speaking, leaving}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not speaking.done():
                speaking.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        if not speaking.cancelled():
            speaking.result()

    async def _speak(self, scope: Scope, receive: Receive, send: Send) -> None:
        order = self._order
        rate = order.who.voice.sample_rate
        samples = samples_of(order.who, order.text, language=order.language, speed=order.speed)
        begun = False
        try:
            # Made in the worker, since FFmpeg's libraries take a while to be loaded.
            encoder = partial(make_encoder, order.format, rate, whole=order.whole)
            steps = pieces(samples, encoder, rate)
            if self._service.cache:
                steps = self._service.cache(order.content(), steps)
            async with self._service.job("speech", steps) as job:
                made = self._service.pieces(job)
                if order.whole and not order.events:
                    content = b"".join([piece.data async for piece in made])
                    await Response(content, headers=self._fields())(scope, receive, send)
                    return
                async for piece in made:
                    # What is wrong with a text shows before its first piece.
                    if not begun:
                        begun = True
                        await _send(send, self._start())
                    if piece.data:
                        await _send(send, _body(self._delta(piece.data), more=True))
                if order.events:
                    await _send(send, _body(self._done(job), more=True))
            await _send(send, _body(b"", more=False))
        except ApiError as error:
            if not begun:
                await error.response()(scope, receive, send)
            elif order.events:
                event = _event({"type": "error", **error.as_json()})
                await _send(send, _body(event, more=False))
            else:
                # An end without a last chunk tells the client that audio is missing.
                raise

    def _delta(self, data: bytes) -> bytes:
        if not self._order.events:
            return data
        audio = base64.b64encode(data).decode()
        return _event({"type": "speech.audio.delta", "audio": audio})

    def _done(self, job: Job) -> bytes:
        # Tokens are what OpenAI bills; here, characters and tenths of a second.
        usage = {"input_tokens": len(self._order.text), "output_tokens": round(10 * job.seconds)}
        total = sum(usage.values())
        return _event({"type": "speech.audio.done", "usage": {**usage, "total_tokens": total}})

    def _fields(self) -> dict[str, str]:
        order = self._order
        events = order.events
        headers = {
            "content-type": "text/event-stream" if events else FORMATS[order.format].media_type,
            "cache-control": "no-store",
        }
        if order.ignored:
            headers["x-allophone-ignored"] = ", ".join(order.ignored)
        return headers

    def _start(self) -> dict[str, object]:
        headers = [(name.encode(), value.encode()) for name, value in self._fields().items()]
        return {"type": "http.response.start", "status": 200, "headers": headers}


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, message: dict[str, object]) -> None:
    async with asyncio.timeout(_STALLED):
        await send(message)


def _body(data: bytes, *, more: bool) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _event(content: dict[str, object]) -> bytes:
    return f"data: {json.dumps(content)}\n\n".encode()
