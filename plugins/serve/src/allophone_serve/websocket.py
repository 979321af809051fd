"""`/v1/audio/stream`: text comes in pieces through a WebSocket, audio goes out sentence by sentence.

| message of the client | |
|---|---|
| `{"type": "start", "voice": "joe", "response_format": "pcm", "speed": 1, "timings": false}` | begins a text; all but `type` may be left out |
| `{"type": "text", "text": "Hello. How"}` | a piece of it |
| `{"type": "end"}` | ends it; another may begin |

| message of the server | |
|---|---|
| `{"type": "started", "sample_rate": 24000}` | the rate before encoding |
| `{"type": "sentence", "text": "Hello.", "start": 0.0}` | precedes the audio of a sentence; with timings, has `words` and `phonemes` |
| binary | audio; joined, one file or stream of the format |
| `{"type": "done", "seconds": 1.9}` | all of the text is spoken |
| `{"type": "error", "error": {...}}` | as over HTTP; the connection ends |
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from allophone_serve.encoding import PCM_RATE, Encoder, make_encoder
from allophone_serve.errors import ApiError
from allophone_serve.orders import SessionOrder, read_json, read_session_order
from allophone_serve.service import Service
from allophone_serve.session import Session
from allophone_serve.timings import timing_fields


async def stream(socket: WebSocket) -> None:
    """The handler of the route."""
    service: Service = socket.app.state.service
    origin = socket.headers.get("origin")
    # Browsers let every page open every WebSocket; CORS does not hold for them.
    if origin and not {origin, "*"} & set(service.options.origins):
        await socket.close(1008, "this origin is not allowed")
        return
    await socket.accept()
    service.websockets += 1
    try:
        await _texts(socket, service)
    except (WebSocketDisconnect, ConnectionError):
        pass  # The client left.
    finally:
        service.websockets -= 1


async def _texts(socket: WebSocket, service: Service) -> None:
    """One text after another, until an error or the end of the server."""
    try:
        while True:
            await _text(socket, service)
    except ApiError as error:
        await socket.send_json({"type": "error", **error.as_json()})
        await socket.close(1011 if error.status >= 500 else 1008)
    except _EndingError:
        await socket.close(1012, "the server ends")


class _EndingError(Exception):
    """The server ends, and there is nothing to finish."""


async def _text(socket: WebSocket, service: Service) -> None:
    """One text, from its start to its end."""
    given = await _begin(_receive(socket, "start"), service)
    order = read_session_order(given, service.voices)
    rate = order.who.voice.sample_rate
    encoder = await asyncio.to_thread(make_encoder, order.format, rate)
    session = Session(
        service,
        "websocket",
        order.who,
        encoder=encoder,
        language=order.language,
        speed=order.speed,
        timings=order.timings,
    )
    started = {"type": "started", "sample_rate": PCM_RATE if order.format == "pcm" else rate}
    await socket.send_json(started)
    sentences: asyncio.Queue[str | None] = asyncio.Queue()
    # Text is read while audio is made: so a client that leaves is noticed, and need not wait for audio.
    reading = asyncio.create_task(_read(socket, service, session, sentences))
    speaking = asyncio.create_task(_speak(socket, session, encoder, order, sentences))
    try:
        await asyncio.wait({reading, speaking}, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in (reading, speaking):
            task.cancel()
        await asyncio.gather(reading, speaking, return_exceptions=True)
    for task in (reading, speaking):
        if not task.cancelled():
            task.result()


async def _read(
    socket: WebSocket, service: Service, session: Session, sentences: asyncio.Queue[str | None]
) -> None:
    given = await _begin(_receive(socket, "text", "end"), service)
    while given["type"] == "text":
        text = given.get("text")
        if not isinstance(text, str):
            raise ApiError(status=400, message="text: expected a string.", param="text")
        for sentence in session.push(text):
            sentences.put_nowait(sentence)
        given = await _receive(socket, "text", "end")
    for sentence in session.finish():
        sentences.put_nowait(sentence)
    sentences.put_nowait(None)


async def _speak(
    socket: WebSocket,
    session: Session,
    encoder: Encoder,
    order: SessionOrder,
    sentences: asyncio.Queue[str | None],
) -> None:
    while (sentence := await sentences.get()) is not None:
        described: dict[str, Any] | None = {
            "type": "sentence",
            "text": sentence,
            "start": round(session.start_of_next(), 4),
        }
        async with session.speak(sentence) as pieces:
            async for piece in pieces:
                if described is not None:
                    timed = order.timings and piece.phonemes is not None
                    more = timing_fields(sentence, piece.phonemes or ()) if timed else {}
                    await socket.send_json({**described, **more})
                    described = None
                if piece.data:
                    await socket.send_bytes(piece.data)
    if last := await asyncio.to_thread(encoder.finish):
        await socket.send_bytes(last)
    await socket.send_json({"type": "done", "seconds": round(session.seconds, 4)})


async def _begin(
    receiving: Coroutine[Any, Any, dict[str, Any]], service: Service
) -> dict[str, Any]:
    """A message that begins something. Raises _EndingError if the server ends before."""
    message = asyncio.create_task(receiving)
    ending = asyncio.create_task(service.ending.wait())
    try:
        await asyncio.wait({message, ending}, return_when=asyncio.FIRST_COMPLETED)
        if service.ending.is_set():
            raise _EndingError
        return message.result()
    finally:
        for task in (message, ending):
            task.cancel()
        await asyncio.gather(message, ending, return_exceptions=True)


async def _receive(socket: WebSocket, *types: str) -> dict[str, Any]:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    given = read_json(message.get("text") or "")
    if given.get("type") not in types:
        expected = " or ".join(f"'{one}'" for one in types)
        raise ApiError(status=400, message=f"type: expected {expected}.", param="type")
    return given
