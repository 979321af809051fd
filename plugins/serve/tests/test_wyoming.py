"""The Wyoming protocol, by its own client, as Home Assistant uses it."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import serve_toys
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

from allophone.audio.wav import pcm16
from allophone_serve.server import listen
from allophone_serve.wyoming_languages import home_assistant_language, same_language
from allophone_serve.wyoming_server import wyoming_server

TEXT = "Hello there. How are you, Mr. Smith? I am well... Yes!"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A port, and the service behind it."""
    voices = serve_toys.toy_voices(tmp_path_factory.mktemp("voices"))
    listening = listen("127.0.0.1", 0)
    with serve_toys.running(voices, beside=lambda service: wyoming_server(service, listening)) as (
        _,
        service,
    ):
        yield listening.getsockname()[1], service


def talk(server, *events, until=AudioStop):
    """Send events, and return those that come back, up to one of a type or the end."""

    async def conversation():
        async with AsyncTcpClient("127.0.0.1", server[0]) as client:
            for event in events:
                await client.write_event(event.event())
            received = []
            while (event := await asyncio.wait_for(client.read_event(), 20)) is not None:
                received.append(event)
                if until.is_type(event.type):
                    break
            return received

    return asyncio.run(conversation())


def audio(events):
    chunks = [AudioChunk.from_event(one) for one in events if AudioChunk.is_type(one.type)]
    assert {(one.rate, one.width, one.channels) for one in chunks} <= {(22050, 2, 1)}
    return np.frombuffer(b"".join(one.audio for one in chunks), "<i2")


def said(server, text, name="tim", **how):
    return pcm16(server[1].voices.find(name).voice.say(text, **how).samples)


def test_voices_are_announced(server):
    (event,) = talk(server, Describe(), until=Info)
    (program,) = Info.from_event(event).tts
    assert program.installed
    assert program.supports_synthesize_streaming
    assert [voice.name for voice in program.voices] == ["tim", "duo", "whole"]
    assert all(voice.installed for voice in program.voices)
    assert all(voice.languages == ["en_US"] for voice in program.voices)
    assert [one.name for one in program.voices[1].speakers] == ["anna", "boris"]


def test_a_text_is_spoken_to_its_last_sample(server):
    events = talk(server, Synthesize(text=TEXT))
    assert [event.type for event in events].count("audio-start") == 1
    assert AudioStart.is_type(events[0].type)
    assert AudioStop.is_type(events[-1].type)
    np.testing.assert_array_equal(audio(events), said(server, TEXT))


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_text_in_pieces_is_spoken_as_if_it_came_at_once(server, size):
    pieces = [SynthesizeChunk(TEXT[i : i + size]) for i in range(0, len(TEXT), size)]
    # Home Assistant sends the whole text too, for servers that do not know the pieces.
    events = talk(
        server,
        SynthesizeStart(),
        *pieces,
        Synthesize(text=TEXT),
        SynthesizeStop(),
        until=SynthesizeStopped,
    )
    types = [event.type for event in events if not AudioChunk.is_type(event.type)]
    assert types == ["audio-start", "audio-stop", "synthesize-stopped"]
    np.testing.assert_array_equal(audio(events), said(server, TEXT))


def test_a_sentence_is_spoken_before_the_text_has_ended(server):
    events = talk(server, SynthesizeStart(), SynthesizeChunk("Hello. And"), until=AudioChunk)
    assert AudioChunk.is_type(events[-1].type)


@pytest.mark.parametrize("text", ["", "...", " \n"])
def test_nothing_to_say_is_no_audio(server, text):
    assert [event.type for event in talk(server, Synthesize(text=text))] == [
        "audio-start",
        "audio-stop",
    ]


def test_voices_speakers_and_languages(server):
    for voice, name, speaker in (
        (SynthesizeVoice(name="duo", speaker="boris"), "duo", "boris"),
        (SynthesizeVoice(name="whole"), "whole", None),
        (SynthesizeVoice(language="en_GB"), "tim", None),
        (SynthesizeVoice(language="de_DE"), "tim", None),
    ):
        events = talk(server, Synthesize(text="Hello.", voice=voice))
        np.testing.assert_array_equal(audio(events), said(server, "Hello.", name, speaker=speaker))


def test_errors_end_the_connection(server):
    for request, words in (
        (Synthesize(text="Hello.", voice=SynthesizeVoice(name="../tim")), "no voice"),
        (Synthesize(text="a" * 5001), "5,001 characters"),
        (Synthesize(text="Жук."), "CYRILLIC"),
        (Synthesize(text="Qqq."), "failed"),
    ):
        (event,) = talk(server, request)
        assert words in Error.from_event(event).text
    assert server[1].scheduler.taken_places() == 0


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"[1]\n",
        b'{"type": "synthesize"}\n',
        b'{"type": "synthesize", "data": {"text": 7}}\n',
        b'{"type": "synthesize", "data_length": 99999999999}\n',
        b'{"type": "x", "payload_length": 99999999999}\n',
        b'{"type": "x", "data": "' + b"x" * 10_000_000 + b'"}\n',
    ],
)
def test_what_is_no_event_ends_the_connection(server, line):
    async def conversation():
        reader, writer = await asyncio.open_connection("127.0.0.1", server[0])
        try:
            writer.write(line)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    answer = asyncio.run(conversation())
    assert not answer or json.loads(answer.split(b"\n")[0])["type"] == "error"
    assert talk(server, Describe(), until=Info)


def test_a_client_that_leaves_frees_its_place(tmp_path):
    voices = serve_toys.toy_voices(tmp_path, delay=0.05)
    listening = listen("127.0.0.1", 0)
    with serve_toys.running(voices, beside=lambda service: wyoming_server(service, listening)) as (
        _,
        service,
    ):
        port = listening.getsockname()[1]
        talk((port,), Synthesize(text="a" * 4000), until=AudioChunk)
        end = time.monotonic() + 5
        while service.scheduler.taken_places():
            assert time.monotonic() < end
            time.sleep(0.01)


def test_at_the_end_what_has_begun_is_finished(tmp_path):
    voices = serve_toys.toy_voices(tmp_path, delay=0.05)
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    with ThreadPoolExecutor() as pool:
        with serve_toys.running(
            voices, beside=lambda service: wyoming_server(service, listening)
        ) as (_, service):
            spoken = pool.submit(talk, (port,), Synthesize(text="a" * 200))
            idle = pool.submit(talk, (port,), Describe())
            while not service.scheduler.taken_places():
                time.sleep(0.01)
        expected = said((port, service), "a" * 200)
        np.testing.assert_array_equal(audio(spoken.result(5)), expected)
        assert [event.type for event in idle.result(5)] == ["info"]


@pytest.mark.parametrize(
    ("code", "expected"),
    {
        "en-us": "en_US",
        "en-gb-x-rp": "en_GB",
        "es-419": "es_419",
        "ru": "ru",
        "pt_BR": "pt_BR",
        "cmn": "zh_CN",
        "de": "de",
    }.items(),
)
def test_languages_are_spelt_as_home_assistant_does(code, expected):
    assert home_assistant_language(code) == expected


def test_same_languages():
    assert same_language("en", "en-us")
    assert same_language("en_GB", "en-us")
    assert not same_language("de_DE", "en-us")
