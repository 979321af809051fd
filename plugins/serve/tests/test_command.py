"""`allophone serve` in a process of its own, with a real voice; and what the command refuses."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
import serve_toys
import soundfile
from click.testing import CliRunner
from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.tts import Synthesize

import allophone
from allophone.errors import UserError
from allophone.registry import default_registry
from allophone_serve.command import command
from allophone_serve.voices import open_voices
from allophone_testing.light import heavy_imports

TEXT = "The quick brown fox jumps over the lazy dog. And nobody minds!"


@pytest.fixture(scope="module")
def joe():
    """The addresses of HTTP and Wyoming of a server with the voice joe, which ends by SIGTERM."""
    program = Path(sys.executable).with_name("allophone")
    words = [
        "serve",
        "--voice",
        "joe",
        "--port",
        "0",
        "--wyoming",
        "0",
        "--alias",
        "echo=joe",
        "--page",
    ]
    server = subprocess.Popen(
        [program, *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    printed = [server.stderr.readline() for _ in range(2)]
    try:
        yield tuple(re.search(r"\w+://\S+", line)[0] for line in printed)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) in (0, -signal.SIGTERM)
        assert "Traceback" not in server.stderr.read()
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def expected():
    return allophone.load("joe").say(TEXT)


def test_joe_speaks_by_the_client_of_openai(joe, expected, tmp_path):
    with openai.OpenAI(base_url=joe[0], api_key="none") as client:
        file = tmp_path / "speech.wav"
        with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="echo", input=TEXT, response_format="wav"
        ) as response:
            response.stream_to_file(file)
    samples, rate = soundfile.read(file)
    assert rate == expected.sample_rate
    np.testing.assert_allclose(samples, expected.samples.clip(-1, 1), atol=1 / 32768)


def test_joe_speaks_by_wyoming(joe, expected):
    async def talk():
        async with AsyncTcpClient.from_uri(joe[1]) as client:
            await client.write_event(Synthesize(text=TEXT).event())
            audio = b""
            while not AudioStop.is_type((event := await client.read_event()).type):
                if AudioChunk.is_type(event.type):
                    audio += AudioChunk.from_event(event).audio
            return np.frombuffer(audio, "<i2") / 32768

    np.testing.assert_allclose(asyncio.run(talk()), expected.samples.clip(-1, 1), atol=1 / 32768)


def test_the_page_of_the_demo_is_served(joe):
    site = joe[0].removesuffix("/v1")
    page = httpx.get(site, timeout=60)
    assert page.status_code == 200
    assert "window.gradio_config" in page.text
    assets = re.findall(r'<script[^>]+src="\.?([^"]+)"', page.text)
    assert assets
    assert httpx.get(f"{site}/{assets[0].lstrip('/')}").status_code == 200
    assert httpx.get(f"{site}/health").json() == {"status": "ok"}
    for path in ("/", "/health", "/v1/voices"):
        refused = httpx.get(f"{site}{path}", headers={"Host": "evil.example"})
        assert (refused.status_code, "--allow-host" in refused.text) == (403, True)


def test_the_examples_of_the_readme_run(joe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    readme = readme.replace("http://127.0.0.1:8000/v1", joe[0])
    (code,) = re.findall(r"^```python\n([\s\S]*?)^```$", readme, re.MULTILINE)
    exec(compile(code, "README.md", "exec"), {})
    (line,) = re.findall(r"^ {4}(curl .*\\\n.*)$", readme, re.MULTILINE)
    subprocess.run(shlex.split(line.replace("\\\n", " ")), check=True, capture_output=True)
    for name in ("morning.wav", "morning.mp3"):
        assert 0.5 < len(soundfile.read(name)[0]) / 22050 < 2


def test_by_default_only_this_machine_is_served(joe):
    assert joe[0].startswith("http://127.0.0.1:")
    assert joe[1].startswith("tcp://127.0.0.1:")


def test_without_names_all_installed_voices_are_served():
    registry = default_registry()
    assert "joe" in registry.entries("voices")
    assert set(open_voices((), registry=registry).by_name) == set(registry.entries("voices"))
    with pytest.raises(UserError, match="none is installed"):
        open_voices((), registry=types.SimpleNamespace(entries=lambda kind: {}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--voice", "nobody"], "no voice 'nobody'"),
        (["--alias", "alloy"], "invalid --alias value 'alloy'"),
        (["--alias", "alloy=anna"], "--alias alloy=anna: There is no voice"),
        (["--alias", "alloy=tim:anna"], "--alias alloy=tim:anna: There is no voice"),
        (["--voice", "VOICE/tim", "--voice", "VOICE/other/tim"], "Two voices are named 'tim'"),
        (["--keys", "EMPTY"], "holds no key"),
        (["--workers", "2"], "the engine of tim takes one thread at a time"),
        (["--page", "--keys", "FULL"], "cannot be used with API keys"),
    ],
)
def test_what_the_command_refuses(tmp_path, monkeypatch, words, message):
    serve_toys.toy_voices(tmp_path)
    (tmp_path / "other" / "tim").mkdir(parents=True)
    (tmp_path / "other" / "tim" / "toy").write_text("00")
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_text("secret")
    monkeypatch.setattr("allophone.registry.default_registry", serve_toys.toy_registry)
    files = {"VOICE": tmp_path, "EMPTY": tmp_path / "empty", "FULL": tmp_path / "full"}
    for name, file in files.items():
        words = [word.replace(name, str(file)) for word in words]
    if "--voice" not in words:
        words += ["--voice", str(tmp_path / "tim"), "--port", "0"]
    error = CliRunner().invoke(command, words).exception
    assert isinstance(error, UserError)
    assert message in error.message


def test_a_port_in_use_is_an_error(tmp_path, monkeypatch):
    serve_toys.toy_voices(tmp_path)
    monkeypatch.setattr("allophone.registry.default_registry", serve_toys.toy_registry)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["--voice", str(tmp_path / "tim"), "--port", str(port)]
        error = CliRunner().invoke(command, words).exception
    assert isinstance(error, UserError)
    assert f"port {port}" in error.message


def test_without_the_package_wyoming_the_command_says_what_to_install(tmp_path, monkeypatch):
    serve_toys.toy_voices(tmp_path)
    monkeypatch.setattr("allophone.registry.default_registry", serve_toys.toy_registry)
    monkeypatch.setitem(sys.modules, "wyoming.audio", None)
    monkeypatch.delitem(sys.modules, "allophone_serve.wyoming_server", raising=False)
    words = ["--voice", str(tmp_path / "tim"), "--port", "0", "--wyoming", "0"]
    error = CliRunner().invoke(command, words).exception
    assert isinstance(error, UserError)
    assert error.hint == "pip install 'allophone-serve[wyoming]'"


def test_keys_come_from_a_file_and_the_environment(tmp_path, monkeypatch):
    serve_toys.toy_voices(tmp_path)
    (tmp_path / "keys").write_text("first\nsecond\n")
    monkeypatch.setenv("ALLOPHONE_API_KEY", "third")
    monkeypatch.setattr("allophone.registry.default_registry", serve_toys.toy_registry)
    served = []
    monkeypatch.setattr(
        "allophone_serve.server.serve", lambda app, *_: served.append(app.state.service)
    )
    words = ["--voice", str(tmp_path / "tim"), "--port", "0", "--keys", str(tmp_path / "keys")]
    CliRunner().invoke(command, words, catch_exceptions=False)
    assert served[0].options.keys == ("first", "second", "third")
    served[0].stop()


@pytest.mark.parametrize(
    ("concurrent", "asked", "expected"),
    [(False, [], 1), (True, [], 3), (True, ["--workers", "2"], 2)],
)
def test_several_threads_synthesize_if_the_engine_takes_them(
    tmp_path, monkeypatch, concurrent, asked, expected
):
    serve_toys.toy_voices(tmp_path)
    monkeypatch.setattr(serve_toys.Tones, "concurrent", concurrent, raising=False)
    monkeypatch.setattr("allophone_serve.command.usable_processors", lambda: 3)
    monkeypatch.setattr("allophone.registry.default_registry", serve_toys.toy_registry)
    served = []
    monkeypatch.setattr("allophone_serve.server.serve", lambda app, *_: served.append(app))
    words = ["--voice", str(tmp_path / "tim"), "--port", "0", *asked]
    CliRunner().invoke(command, words, catch_exceptions=False)
    service = served[0].state.service
    assert service.options.workers == expected
    service.stop()


def test_the_server_needs_no_torch():
    code = "import allophone_serve.app, allophone_serve.server, allophone_serve.wyoming_server"
    assert heavy_imports(code, ("torch", "librosa", "gradio")) == {}


def test_help_imports_nothing_heavy():
    code = "from allophone.cli import allophone\nallophone(['serve', '--help'])"
    assert heavy_imports(code) == {}
