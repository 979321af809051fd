"""What a server refuses, and what it does with clients that are many, slow, gone or hostile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import serve_toys
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from allophone.errors import UserError
from allophone_serve.encoding import FORMATS
from allophone_serve.page import perform

SPEECH = "/v1/audio/speech"
WAV = {"response_format": "wav"}


def ask(url, text="Hello.", *, timeout=20, **how):
    return httpx.post(url + SPEECH, json={"input": text, **WAV, **how}, timeout=timeout)


@pytest.fixture
def slow(tmp_path):
    """Starts servers whose voice takes 50 ms for a chunk, or as long as is said."""

    def start(delay=0.05, **options):
        voices = serve_toys.toy_voices(tmp_path, delay=delay)
        return serve_toys.running(voices, **options)

    return start


def post(url, text, *, receive_buffer=None):
    """A connection on which speech was asked for, and nothing was read."""
    client = socket.socket()
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    body = json.dumps({"input": text, **WAV}).encode()
    head = f"POST {SPEECH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return client


def until(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


@pytest.mark.parametrize("form", FORMATS)
def test_audio_leaves_before_the_sentence_is_finished(slow, form):
    body = {"input": "a" * 400, "response_format": form}
    with slow() as (url, _), httpx.stream("POST", url + SPEECH, json=body) as response:
        begin = time.monotonic()
        arrivals = [time.monotonic() - begin for _ in response.iter_raw()]
    assert arrivals[0] < arrivals[-1] / 4


def test_a_short_text_does_not_wait_for_a_long_one(slow):
    with slow() as (url, _), ThreadPoolExecutor() as pool:
        long = pool.submit(ask, url, "a" * 400)
        time.sleep(0.3)
        short = ask(url, "Hi.")
        assert not long.done()
        assert short.status_code == long.result().status_code == 200


def test_metrics_tell_how_it_goes(slow):
    with slow(places=3, delay=0.0) as (url, service):
        for text in ("Hello.", "Hi."):
            ask(url, text)
        ask(url, "")
        ask(url, "Жук.")
        text = httpx.get(f"{url}/metrics").text
        voice = service.voices.find("tim").voice
        spoken = sum(voice.say(one).seconds for one in ("Hello.", "Hi."))
    found = {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    assert found["allophone_requests_total", "done", "speech"] == 2
    assert found["allophone_requests_total", "refused", "speech"] == 1
    assert found["allophone_audio_seconds_total",] == pytest.approx(spoken, abs=1e-3)
    assert found["allophone_first_audio_seconds_count",] == 2
    assert 0 < found["allophone_first_audio_seconds_sum",] < 10
    assert found["allophone_real_time_factor_count",] == 2
    assert found["allophone_places",] == 3
    assert found["allophone_places_taken",] == found["allophone_waiting",] == 0


def test_past_the_places_there_is_429(slow):
    with slow(places=2) as (url, service), ThreadPoolExecutor() as pool:
        taken = [pool.submit(ask, url, "a" * 100) for _ in range(2)]
        until(lambda: service.scheduler.taken_places() == 2)
        assert httpx.get(f"{url}/ready").status_code == 503
        refused = ask(url)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert [one.result().status_code for one in taken] == [200, 200]
        assert ask(url).status_code == 200
        assert httpx.get(f"{url}/ready").json() == {"status": "ready", "free_places": 2}


def test_the_page_takes_a_place_too(slow):
    with slow(places=1) as (url, service), ThreadPoolExecutor() as pool:
        taken = pool.submit(ask, url, "a" * 100)
        until(lambda: service.scheduler.taken_places() == 1)
        with pytest.raises(UserError, match="places"):
            asyncio.run(perform(service, lambda: service.voices.find("tim").voice.say("Hi.")))
        assert taken.result().status_code == 200
        said = asyncio.run(perform(service, lambda: Said(service.voices.find("tim").voice)))
    assert said.waveform.seconds > 0


class Said:
    """What the page synthesizes, as far as the server looks at it."""

    def __init__(self, voice):
        self.waveform = voice.say("Hi.")


@pytest.mark.parametrize("audio_first", [True, False])
def test_a_client_that_leaves_frees_its_place(slow, audio_first):
    with slow(delay=0.3) as (url, service):
        with post(url, "a" * 4000) as client:
            if audio_first:
                assert client.recv(100)
            until(lambda: service.scheduler.taken_places() == 1)
        until(lambda: service.scheduler.taken_places() == 0, 2)
        assert 'outcome="left",way="speech"} 1.0' in httpx.get(f"{url}/metrics").text


def test_for_a_client_that_does_not_read_little_is_made_ahead(slow, monkeypatch):
    monkeypatch.setattr("allophone_serve.scheduler.AHEAD", 20_000)
    with slow(delay=0.0, timeout=3, characters=100_000) as (url, service):
        with post(url, "a " * 25_000, receive_buffer=4096):
            until(lambda: service.scheduler.taken_places() == 1)
            (job,) = service.scheduler._jobs
            until(lambda: job.parked)
            time.sleep(0.2)
            # All of it has 1,000 s; what the kernel keeps is not ours.
            assert job.seconds < 300
            until(lambda: service.scheduler.taken_places() == 0)
        assert 'outcome="timeout",way="speech"} 1.0' in httpx.get(f"{url}/metrics").text


def test_who_waits_too_long_is_told_to_come_again(slow):
    with slow(delay=0.5, first_timeout=0.2) as (url, _):
        late = ask(url)
    assert late.status_code == 503
    assert late.headers["retry-after"] == "5"


def test_a_request_may_not_take_longer_than_its_time(slow):
    with slow(delay=0.2, timeout=0.5) as (url, service), pytest.raises(httpx.RemoteProtocolError):
        ask(url, "a" * 200)
    assert service.scheduler.taken_places() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_many_clients_at_once(slow, workers):
    with slow(delay=0.002, workers=workers) as (url, service), ThreadPoolExecutor(32) as pool:
        texts = [f"Hello {'a' * (number % 7)}." for number in range(48)]
        spoken = list(pool.map(lambda text: ask(url, text), texts))
        expected = {text: len(service.voices.find("tim").voice.say(text).samples) for text in texts}
        assert [len(one.content) for one in spoken] == [44 + 2 * expected[text] for text in texts]
        assert 'outcome="done",way="speech"} 48.0' in httpx.get(f"{url}/metrics").text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'"x"',
        b"[" * 100_000,
        b'{"input": "\\ud800"}',
        b'{"input": "a", "speed": NaN}',
        b'{"input": "a", "speed": 1e999}',
        b'{"input": null}',
        b'{"input": {"$ref": "/etc/passwd"}}',
    ],
)
def test_broken_bodies_are_refused(url, body):
    response = httpx.post(url + SPEECH, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_another_type_of_content_is_refused(url):
    assert httpx.post(url + SPEECH, data={"input": "a"}).status_code == 415


@pytest.mark.parametrize("declared", [True, False])
def test_ten_megabytes_are_refused(url, declared):
    body = json.dumps({"input": "a" * 10_000_000}).encode()
    content = body if declared else (body[i : i + 65536] for i in range(0, len(body), 65536))
    response = httpx.post(
        url + SPEECH, content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert httpx.get(f"{url}/health").status_code == 200


def test_a_body_that_does_not_arrive_is_given_up(url, monkeypatch):
    monkeypatch.setattr("allophone_serve.openai_speech._STALLED", 0.2)
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as client:
        head = f"POST {SPEECH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        client.settimeout(5)
        assert client.recv(100).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "name", ["../tim", "/etc/passwd", "tim/../tim", "tim:../anna", "file:///tim", "~", "", ".", ":"]
)
def test_a_voice_is_a_name_and_never_a_path(url, name):
    response = ask(url, voice=name)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "voice_not_found"


@pytest.mark.parametrize("path", ["/v1/../../etc/passwd", "/%2e%2e/x", "/v1/models/..%2fx", "/x"])
def test_unknown_paths_are_404(url, path):
    response = httpx.get(url + path)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_wrong_methods_are_405(url):
    assert httpx.get(url + SPEECH).status_code == 405


def test_long_text_without_a_full_stop(url, toys):
    text = "word " * 1000
    spoken = ask(url, text)
    assert spoken.status_code == 200
    assert len(spoken.content) == 44 + 2 * len(toys[1].voices.find("tim").voice.say(text).samples)


def test_long_breaks_of_ssml_are_refused(url):
    breaks = '<break time="60s"/>' * 40
    spoken = ask(url, f"<speak>a{breaks}b</speak>", stream=False)
    assert spoken.status_code == 400
    assert "longer than 30 minutes" in spoken.json()["error"]["message"]


def test_keys(slow):
    with slow(delay=0.0, keys=("secret", "other")) as (url, _):
        for key, status in {
            "secret": 200,
            "other": 200,
            "secre": 401,
            "ключ": 401,
        }.items():
            headers = {"authorization": f"Bearer {key}".encode()}
            for path in ("/v1/models", "/metrics"):
                assert httpx.get(url + path, headers=headers).status_code == status
        assert httpx.get(f"{url}/v1/models").json()["error"]["code"] == "invalid_api_key"
        basic = {"authorization": "Basic secret"}
        assert httpx.get(f"{url}/v1/models", headers=basic).status_code == 401
        assert httpx.get(f"{url}/health").status_code == 200


def test_other_origins_only_if_they_are_named(slow, url):
    headers = {"origin": "https://example.org"}
    assert "access-control-allow-origin" not in httpx.get(f"{url}/health", headers=headers).headers
    with slow(origins=("https://example.org",)) as (open_url, _):
        allowed = httpx.get(f"{open_url}/health", headers=headers).headers
        assert allowed["access-control-allow-origin"] == "https://example.org"
        other = httpx.get(f"{open_url}/health", headers={"origin": "https://example.com"}).headers
        assert "access-control-allow-origin" not in other


@pytest.fixture
def process(tmp_path):
    """A server in a process of its own, with a slow voice: the process and its URL."""
    started = subprocess.Popen(
        [sys.executable, serve_toys.__file__, str(tmp_path), "0.1"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(serve_toys.__file__).parent)},
    )
    yield started, started.stdout.readline().strip()
    started.kill()
    started.wait()


def test_on_sigterm_what_has_begun_is_finished(process):
    server, url = process
    received = []
    with httpx.stream("POST", url + SPEECH, json={"input": "a" * 100, **WAV}) as response:
        for index, chunk in enumerate(response.iter_raw()):
            received.append(chunk)
            if index == 0:
                server.send_signal(signal.SIGTERM)
    # 100 letters with blanks between, 20 ms each.
    samples = np.frombuffer(b"".join(received)[44:], "<i2")
    assert len(samples) / 22050 == pytest.approx(201 * 28 * 16 / 22050, abs=0.1)
    assert server.wait(10) in (0, -signal.SIGTERM)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def rest(client):
    """What a WebSocket still receives, and the code with which it is closed."""
    received = []
    while True:
        try:
            received.append(client.recv(5))
        except ConnectionClosed as closed:
            return received, closed.rcvd.code


def test_on_sigterm_a_text_that_has_begun_over_a_websocket_is_finished(process):
    server, url = process
    address = url.replace("http", "ws") + "/v1/audio/stream"
    with connect(address) as speaking, connect(address) as begun, connect(address) as idle:
        for client, messages in {
            speaking: [{"type": "start"}, {"type": "text", "text": "Hello there. And"}],
            begun: [{"type": "start"}],
        }.items():
            for message in messages:
                client.send(json.dumps(message))
        assert json.loads(begun.recv(5))["type"] == "started"
        while not isinstance(speaking.recv(5), bytes):
            pass
        server.send_signal(signal.SIGTERM)
        for client in (begun, idle):
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(5)
            assert closed.value.rcvd.code == 1012
        with pytest.raises(ConnectionRefusedError):
            connect(address)
        speaking.send(json.dumps({"type": "text", "text": " good bye."}))
        speaking.send(json.dumps({"type": "end"}))
        received, code = rest(speaking)
        assert code == 1012
        events = [json.loads(one) for one in received if isinstance(one, str)]
        assert [one["type"] for one in events] == ["sentence", "done"]
        assert events[0]["text"] == "And good bye."
    assert server.wait(10) in (0, -signal.SIGTERM)


def test_who_does_not_end_a_text_is_cut_off_at_the_end_of_the_time(tmp_path):
    voices = serve_toys.toy_voices(tmp_path)
    with serve_toys.running(voices, timeout=0.5) as (url, service):
        client = connect(url.replace("http", "ws") + "/v1/audio/stream")
        for message in ({"type": "start"}, {"type": "text", "text": "Hello"}):
            client.send(json.dumps(message))
        json.loads(client.recv(5))
        until(lambda: service.websockets == 1)
        # Leaving the block ends the server, within 20 s.
    with client, pytest.raises(ConnectionClosed):
        client.recv(5)


def test_after_a_kill_clients_know_that_audio_is_missing(process):
    server, url = process
    threading.Timer(0.5, server.kill).start()
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(url, "a" * 400)
