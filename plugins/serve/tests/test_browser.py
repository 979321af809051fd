"""A page in a browser plays what the server says: over HTTP, through a WebSocket, and the page of the demo."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import io
import shutil
import threading
import urllib.request

import numpy as np
import pytest
import serve_toys
import soundfile

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
LACKING = [
    name
    for name, found in {
        "selenium": importlib.util.find_spec("selenium"),
        "chromium": BROWSER,
        "chromedriver": DRIVER,
    }.items()
    if not found
]

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}")

PATIENCE = 60
"""Seconds that the browser may take for one step on a busy machine."""

TEXT = "Hello there. How are you?"

PLAY = """
const [url, body, done] = arguments;
const sound = document.createElement("audio");
document.body.append(sound);
sound.onerror = () => done({error: sound.error.message});
sound.onended = () => done({played: sound.currentTime, duration: sound.duration});
fetch(url, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
}).then(answer => answer.blob()).then(audio => {
    sound.src = URL.createObjectURL(audio);
    return sound.play();
}).catch(error => done({error: String(error)}));
"""
"""Plays a response to its end."""

STREAM = """
const [url, body, done] = arguments;
const media = new MediaSource(), sound = document.createElement("audio");
const found = {chunks: 0};
document.body.append(sound);
sound.src = URL.createObjectURL(media);
sound.onplaying = () => found.begun ??= found.chunks;
sound.onended = () => done({...found, played: sound.currentTime});
media.onsourceopen = async () => {
    try {
        const buffer = media.addSourceBuffer("audio/mpeg");
        const answer = await fetch(url, {
            method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body),
        });
        const reader = answer.body.getReader();
        for (let part; !(part = await reader.read()).done;) {
            buffer.appendBuffer(part.value);
            await new Promise(ready => buffer.onupdateend = ready);
            found.chunks++;
        }
        media.endOfStream();
    } catch (error) { done({error: String(error)}); }
};
sound.play();
"""
"""Plays MP3 while it arrives; says how many chunks there were, and how many when the sound began."""

CONVERSE = """
const [url, start, texts, done] = arguments;
const socket = new WebSocket(url), events = [], parts = [];
const sound = new AudioContext({sampleRate: 24000});
socket.binaryType = "arraybuffer";
socket.onclose = event => done({error: `closed with ${event.code}`});
socket.onopen = () => {
    const pieces = texts.map(text => ({type: "text", text}));
    for (const message of [start, ...pieces, {type: "end"}]) socket.send(JSON.stringify(message));
};
socket.onmessage = ({data}) => {
    if (typeof data != "string") { parts.push(...new Int16Array(data)); return; }
    events.push(JSON.parse(data));
    if (events.at(-1).type != "done") return;
    const buffer = sound.createBuffer(1, parts.length, 24000);
    buffer.copyToChannel(Float32Array.from(parts, sample => sample / 32768), 0);
    const player = sound.createBufferSource();
    player.buffer = buffer;
    player.connect(sound.destination);
    player.onended = () => done({events, samples: parts.length, played: sound.currentTime});
    player.start();
};
"""
"""Plays what a WebSocket says to its end."""


@pytest.fixture(scope="module")
def driver():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
        "--autoplay-policy=no-user-gesture-required",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(PATIENCE)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The address of a page on another port, which is another origin than the server."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!doctype html><title>A page</title><body></body>")
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *what):
        pass


@pytest.fixture(scope="module")
def server(site, tmp_path_factory):
    """A server that the page may use: its URL, and how long it speaks TEXT."""
    voices = serve_toys.toy_voices(tmp_path_factory.mktemp("voices"), delay=0.02)
    with serve_toys.running(voices, origins=(site,)) as (url, service):
        yield url, service.voices.find("tim").voice.say(TEXT).seconds


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
def test_a_page_plays_speech(driver, site, server, form):
    driver.get(site)
    body = {"input": TEXT, "response_format": form}
    played = driver.execute_async_script(PLAY, f"{server[0]}/v1/audio/speech", body)
    assert "error" not in played
    assert played["played"] == pytest.approx(server[1], abs=0.15)


def test_a_page_plays_speech_while_it_is_made(driver, site, server):
    driver.get(site)
    body = {"input": "a" * 100}
    played = driver.execute_async_script(STREAM, f"{server[0]}/v1/audio/speech", body)
    assert "error" not in played
    assert 1 <= played["begun"] < played["chunks"]


def test_a_page_plays_text_in_pieces_through_a_websocket(driver, site, server):
    driver.get(site)
    url = server[0].replace("http", "ws") + "/v1/audio/stream"
    start = {"type": "start", "voice": "tim"}
    played = driver.execute_async_script(CONVERSE, url, start, [TEXT[:9], TEXT[9:]])
    assert [one["type"] for one in played.get("events", [])] == [
        *("started", "sentence", "sentence", "done")
    ], played
    assert played["samples"] / 24000 == pytest.approx(server[1], abs=0.01)
    assert played["played"] >= server[1]


def test_a_page_of_another_origin_is_refused(driver, site, tmp_path):
    driver.get(site)
    with serve_toys.running(serve_toys.toy_voices(tmp_path)) as (url, service):
        body = {"input": TEXT}
        played = driver.execute_async_script(PLAY, f"{url}/v1/audio/speech", body)
        assert "Failed to fetch" in played["error"]
        stream = url.replace("http", "ws") + "/v1/audio/stream"
        talked = driver.execute_async_script(CONVERSE, stream, {"type": "start"}, [TEXT])
        assert "closed with" in talked["error"]
        assert service.scheduler.taken_places() == 0


def test_the_page_of_the_demo_speaks_with_the_voices_of_the_server(driver, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    wait = WebDriverWait(driver, PATIENCE)
    voices = serve_toys.toy_voices(tmp_path)
    with serve_toys.running(voices, page=True) as (url, service):
        driver.get(url)
        wait.until(lambda _: driver.find_elements("css selector", "#panel input"))
        voice = driver.find_element("css selector", "#voice input")
        assert voice.get_attribute("value") == "tim"
        driver.execute_script(
            """
            const box = document.querySelector("#text textarea");
            box.value = arguments[0];
            box.dispatchEvent(new Event("input", {bubbles: true}));
            """,
            TEXT,
        )
        driver.find_element("css selector", "#speak").click()
        wait.until(lambda _: driver.find_elements("css selector", "#speech a[download]"))
        link = driver.find_element("css selector", "#speech a[download]").get_attribute("href")
        with urllib.request.urlopen(link) as answer:
            samples, _ = soundfile.read(io.BytesIO(answer.read()), dtype="float32")
        expected = service.voices.find("tim").voice.say(TEXT).samples
        np.testing.assert_allclose(samples, expected, atol=2e-5)
        assert b'outcome="done",way="page"} 1.0' in service.metrics.text()
        assert driver.execute_script("return document.querySelector('#speech audio') !== null")
