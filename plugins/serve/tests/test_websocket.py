"""Text in pieces through a WebSocket."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import serve_toys
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

TEXT = "Hello there. How are you, Mr. Smith? I am well."
SENTENCES = ["Hello there.", "How are you, Mr. Smith?", "I am well."]


def converse(url, *messages, **how):
    """Send messages; return those of the server up to `done` or the end, and the audio."""
    events, audio = [], b""
    with connect(url.replace("http", "ws") + "/v1/audio/stream", **how) as socket:
        for message in messages:
            socket.send(message if isinstance(message, str) else json.dumps(message))
        try:
            while True:
                received = socket.recv(timeout=20)
                if isinstance(received, bytes):
                    audio += received
                    continue
                events.append(json.loads(received))
                if events[-1]["type"] == "done":
                    break
        except ConnectionClosed:
            pass
    return events, audio


def text(*pieces):
    return [{"type": "text", "text": piece} for piece in pieces] + [{"type": "end"}]


@pytest.mark.parametrize("timings", [False, True])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_sentences_are_spoken_as_the_whole_text_would_be(url, toys, size, timings):
    pieces = [TEXT[i : i + size] for i in range(0, len(TEXT), size)]
    start = {"type": "start", "response_format": "wav", "timings": timings}
    events, audio = converse(url, start, *text(*pieces))
    types = [event["type"] for event in events]
    assert types == ["started", *["sentence"] * 3, "done"]
    assert [event["text"] for event in events[1:-1]] == SENTENCES
    expected = toys[1].voices.find("tim").voice.say(TEXT)
    np.testing.assert_allclose(
        np.frombuffer(audio[44:], "<i2") / 32768, expected.samples, atol=1 / 32768
    )
    assert events[-1]["seconds"] == pytest.approx(expected.seconds, abs=1e-3)


def test_timings_of_phonemes_and_words(url, toys):
    start = {"type": "start", "timings": True, "speed": 2}
    events, _ = converse(url, start, *text(TEXT))
    expected = toys[1].voices.find("tim").voice.say(TEXT, length_scale=0.5).phonemes
    phonemes = [one for event in events[1:-1] for one in event["phonemes"]]
    assert [one["symbol"] for one in phonemes] == [one.symbol for one in expected]
    assert [one["start"] for one in phonemes] == pytest.approx(
        [one.start for one in expected], abs=1e-3
    )
    words = [one for event in events[1:-1] for one in event["words"]]
    assert [one["text"] for one in words] == TEXT.split()
    assert all(one["start"] < one["end"] for one in words)
    assert events[2]["start"] == pytest.approx(events[2]["phonemes"][0]["start"], abs=1e-3)


def test_a_sentence_is_spoken_before_the_text_has_ended(url):
    with connect(url.replace("http", "ws") + "/v1/audio/stream") as socket:
        socket.send('{"type": "start"}')
        assert json.loads(socket.recv())["sample_rate"] == 24000
        socket.send('{"type": "text", "text": "Hello. And"}')
        assert json.loads(socket.recv(timeout=5))["text"] == "Hello."
        assert socket.recv(timeout=5)


def test_several_texts_in_one_connection(url):
    with connect(url.replace("http", "ws") + "/v1/audio/stream") as socket:
        for words in ("Hello.", "Bye."):
            for message in ({"type": "start"}, *text(words)):
                socket.send(json.dumps(message))
            while isinstance(received := socket.recv(timeout=5), bytes) or "done" not in received:
                pass


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (["{"], "not JSON"),
        (["[]"], "not a JSON object"),
        ([{"type": "text", "text": "a"}], "expected 'start'"),
        ([{"type": "start", "voice": "../tim"}], "no voice"),
        ([{"type": "start", "speed": 9}], "from 0.25 to 4"),
        ([{"type": "start"}, {"type": "text", "text": 7}], "expected a string"),
        ([{"type": "start"}, *text("a" * 3000, "a" * 3000)], "at most 5,000"),
        ([{"type": "start"}, *text("Жук.")], "CYRILLIC"),
        ([{"type": "start"}, *text("Qqq.")], "log says why"),
        ([{"type": "start", "timings": True}, *text("Zzz.")], "log says why"),
    ],
)
def test_errors_end_the_connection(url, toys, messages, words):
    events, _ = converse(url, *messages)
    assert events[-1]["type"] == "error"
    assert words in events[-1]["error"]["message"]
    assert toys[1].scheduler.taken_places() == 0


def test_a_client_that_leaves_frees_its_place(tmp_path):
    with serve_toys.running(serve_toys.toy_voices(tmp_path, delay=0.1)) as (url, service):
        with connect(url.replace("http", "ws") + "/v1/audio/stream") as socket:
            for message in ({"type": "start"}, *text("a" * 400)):
                socket.send(json.dumps(message))
            while not isinstance(socket.recv(timeout=5), bytes):
                pass
            assert service.scheduler.taken_places() == 1
        end = time.monotonic() + 2
        while service.scheduler.taken_places():
            assert time.monotonic() < end


def test_other_origins_and_keys(tmp_path):
    voices = serve_toys.toy_voices(tmp_path)
    with serve_toys.running(voices, keys=("secret",), origins=("https://a.example",)) as (url, _):
        key = {"Authorization": "Bearer secret"}
        for how in (
            {},
            {"additional_headers": {"Authorization": "Bearer other"}},
            {"additional_headers": key, "origin": "https://b.example"},
        ):
            with pytest.raises(InvalidStatus):
                converse(url, **how)
        how = {"additional_headers": key, "origin": "https://a.example"}
        assert converse(url, {"type": "start"}, *text("Hi."), **how)[1]
