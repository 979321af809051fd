"""Speech that is asked for again is not made again."""

from __future__ import annotations

import httpx
import pytest
import serve_toys

from allophone_serve.cache import Cache
from allophone_serve.speaking import Piece


def test_the_same_request_is_answered_from_the_cache(tmp_path):
    voices = serve_toys.toy_voices(tmp_path, delay=0.02)
    calls = []
    engine = voices.find("tim").voice.engine
    stream = engine.stream
    engine.stream = lambda *given: calls.append(given) or stream(*given)

    def ask(text="Hello.", **how):
        return httpx.post(f"{url}/v1/audio/speech", json={"input": text, **how}).content

    with serve_toys.running(voices, cache=1_000_000) as (url, _):
        first = ask()
        assert ask() == first
        assert len(calls) == 1
        for other in (
            {"speed": 2},
            {"response_format": "wav"},
            {"stream": False},
            {"text": "Bye."},
        ):
            assert ask(**other) != first
        assert len(calls) == 5


def pieces(*sizes):
    return (Piece(data=b"x" * size) for size in sizes)


def never():
    raise AssertionError("it is made again")
    yield


def test_what_is_used_least_goes_first():
    cache = Cache(100)
    for key in "ab":
        assert len(list(cache(key, pieces(20, 20)))) == 2
    assert len(list(cache("a", never()))) == 2
    list(cache("c", pieces(30)))
    list(cache("a", never()))
    with pytest.raises(AssertionError):
        list(cache("b", never()))


def test_speech_that_breaks_off_or_is_too_large_is_not_kept():
    cache = Cache(100)
    broken = cache("a", pieces(10, 10))
    next(broken)
    broken.close()
    list(cache("b", pieces(101)))
    for key in "ab":
        with pytest.raises(AssertionError):
            list(cache(key, never()))
