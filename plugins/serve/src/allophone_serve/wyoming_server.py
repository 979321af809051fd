"""The Wyoming protocol, by which Home Assistant finds voices and lets them speak."""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Attribution, Describe, Info, TtsProgram, TtsVoice, TtsVoiceSpeaker
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from allophone.errors import UserError
from allophone_serve.encoding import Raw
from allophone_serve.errors import ApiError
from allophone_serve.service import Service
from allophone_serve.session import Session
from allophone_serve.voices import Speaker, Voices
from allophone_serve.wyoming_languages import home_assistant_language, same_language

_log = logging.getLogger(__name__)


@asynccontextmanager
async def wyoming_server(service: Service, listening: socket.socket) -> AsyncIterator[None]:
    """Serve for as long as the block lasts. At its end, what has begun to be spoken is finished."""
    handlers: set[_Handler] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = _Handler(service, reader, writer)
        handlers.add(handler)
        try:
            await handler.run()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client left, which is its right.
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("A Wyoming client sent what is no event: %s", error)
        finally:
            handlers.discard(handler)

    server = await asyncio.start_server(connected, sock=listening, limit=service.options.body)

    async def close() -> None:
        """Let nobody in any more while what has begun over HTTP is finished."""
        await service.ending.wait()
        server.close()

    closing = asyncio.create_task(close())
    try:
        yield
    finally:
        closing.cancel()
        server.close()
        await asyncio.gather(*(handler.leave() for handler in set(handlers)))


class _Handler(AsyncEventHandler):
    """One connection."""

    def __init__(
        self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(_Bounded(reader, service.options.body), writer)  # type: ignore[arg-type]
        self._service = service
        self._session: Session | None = None
        self._speaker: Speaker | None = None
        self._begun = False
        self._idle = asyncio.Lock()

    async def handle_event(self, event: Event) -> bool:
        async with self._idle:
            try:
                await self._handle(event)
            except (ApiError, UserError) as error:
                # The connection ends with it, since Home Assistant waits for audio only.
                self._session = None
                await self.write_event(Error(text=str(error)).event())
                return False
        return True

    async def leave(self) -> None:
        """End the connection once it is idle: between events, and not in a text that comes in pieces."""
        try:
            async with asyncio.timeout(self._service.options.timeout):
                while self._session is not None:
                    await asyncio.sleep(0.05)
                async with self._idle:
                    self.writer.close()
        except TimeoutError:
            self.writer.close()

    async def _handle(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.write_event(_info(self._service.voices).event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif SynthesizeStart.is_type(event.type):
            self._begin(SynthesizeStart.from_event(event).voice)
        elif SynthesizeChunk.is_type(event.type) and self._session:
            await self._say(self._session.push(SynthesizeChunk.from_event(event).text))
        elif SynthesizeStop.is_type(event.type) and self._session:
            await self._end(self._session)
            await self.write_event(SynthesizeStopped().event())
        elif Synthesize.is_type(event.type) and self._session is None:
            # While a text comes in pieces, this is the same text again, for older servers.
            whole = Synthesize.from_event(event)
            session = self._begin(whole.voice)
            try:
                await self._say(session.push(whole.text))
                await self._end(session)
            finally:
                self._session = None

    def _begin(self, voice: SynthesizeVoice | None) -> Session:
        self._speaker = _find(self._service.voices, voice)
        self._begun = False
        self._session = Session(self._service, "wyoming", self._speaker, encoder=Raw())
        return self._session

    async def _say(self, sentences: Iterable[str]) -> None:
        assert self._session is not None
        for sentence in sentences:
            async with self._session.speak(sentence) as pieces:
                async for piece in pieces:
                    await self._start()
                    await self.write_event(AudioChunk(audio=piece.data, **self._format()).event())

    async def _end(self, session: Session) -> None:
        await self._say(session.finish())
        await self._start()
        await self.write_event(AudioStop().event())
        self._session = None

    async def _start(self) -> None:
        if not self._begun:
            self._begun = True
            await self.write_event(AudioStart(**self._format()).event())

    def _format(self) -> dict[str, int]:
        assert self._speaker is not None
        return {"rate": self._speaker.voice.sample_rate, "width": 2, "channels": 1}


class _Bounded:
    """Refuses events that say they are larger than `limit` bytes, before they are read."""

    def __init__(self, reader: asyncio.StreamReader, limit: int) -> None:
        self._reader = reader
        self._limit = limit

    async def readexactly(self, size: int) -> bytes:
        if not 0 <= size <= self._limit:
            raise ValueError(f"an event with {size:,} bytes; at most {self._limit:,} are taken")
        return await self._reader.readexactly(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def _find(voices: Voices, asked: SynthesizeVoice | None) -> Speaker:
    """The voice that is asked for by name, or by language; the first otherwise."""
    if asked is not None and asked.name:
        return voices.find(f"{asked.name}:{asked.speaker}" if asked.speaker else asked.name)
    if asked is not None and asked.language:
        for name, voice in voices.by_name.items():
            if any(same_language(asked.language, one) for one in voice.languages):
                return voices.find(name)
    return voices.find(voices.default)


def _info(voices: Voices) -> Info:
    version = importlib.metadata.version("allophone-serve")
    attribution = Attribution(name="Allophone", url="https://example.org/allophone")
    described = [
        TtsVoice(
            name=name,
            description=voice.description.about.summary or name,
            attribution=Attribution(name=voice.description.about.licence, url=""),
            installed=True,
            version=version,
            languages=[home_assistant_language(one) for one in voice.languages],
            speakers=[TtsVoiceSpeaker(name=one) for one in voice.speakers]
            if len(voice.speakers) > 1
            else None,
        )
        for name, voice in voices.by_name.items()
    ]
    program = TtsProgram(
        name="allophone",
        description="Allophone's voices",
        attribution=attribution,
        installed=True,
        version=version,
        voices=described,
        supports_synthesize_streaming=True,
    )
    return Info(tts=[program])
