"""The page of `allophone demo` in Gradio, and in a browser where there is one."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import shutil
import socket
import urllib.request

import numpy as np
import pytest
import soundfile

from allophone.errors import UserError
from allophone.synthesis.loading import load
from allophone_demo.page import launch
from allophone_demo.voices import open_voices

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

needs_browser = pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)}")

PATIENCE = 60
"""Seconds that the browser may take for one step on a busy machine."""


@pytest.fixture
def served(registry):
    """A page that is served, as Gradio has it."""
    voices = open_voices((), registry=registry)
    page = launch(voices, port=None, share=False)
    yield page
    page.close(verbose=False)


def test_the_page_is_local_and_refers_to_no_other_host(served):
    with urllib.request.urlopen(served.local_url) as answer:
        html = answer.read().decode()
    loaded = re.findall(r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', html)
    assert any("gradio" in name or "assets" in name for name in loaded)
    assert [name for name in loaded if "//" in name] == []
    config = json.loads(re.search(r"window\.gradio_config = (\{.*?\});", html)[1])
    assert not config["analytics_enabled"]
    assert all(not (sheet or "").startswith("http") for sheet in config.get("stylesheets") or [])
    assert served.local_url.startswith("http://127.0.0.1:")


def test_a_port_in_use_is_an_error(registry):
    voices = open_voices((), registry=registry)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is already in use"):
            launch(voices, port=port, share=False)


class Visit:
    """A visitor of the page, who sees and does what people do."""

    def __init__(self, driver, url):
        self.driver = driver
        driver.get(url)
        self.until(lambda: self.find("#panel input"))

    def find(self, selector):
        return self.driver.find_elements("css selector", selector)

    def until(self, condition):
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(
            self.driver, PATIENCE, ignored_exceptions=[StaleElementReferenceException]
        )
        return wait.until(lambda _: condition())

    def text_of(self, selector):
        return " ".join(element.text for element in self.find(selector))

    def type(self, text):
        self.driver.execute_script(
            """
            const box = document.querySelector("#text textarea");
            box.value = arguments[0];
            box.dispatchEvent(new Event("input", {bubbles: true}));
            """,
            text,
        )

    def choose(self, voice):
        from selenium.webdriver.common.keys import Keys

        box = self.find("#voice input")[0]
        box.click()
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(voice, Keys.ENTER)

    def speak(self):
        self.find("#speak")[0].click()

    def download(self):
        """What the page offers to download; None where there is nothing."""
        links = self.find("#speech a[download]")
        if not links:
            return None
        with urllib.request.urlopen(links[0].get_attribute("href")) as answer:
            return soundfile.read(io.BytesIO(answer.read()), dtype="float32")[0]

    def drawn_pixels(self):
        """How many pixels of the player's waveform are not empty."""
        return self.driver.execute_script(
            """
            const roots = [...document.querySelectorAll("#speech *")]
                .map(element => element.shadowRoot).filter(root => root);
            const canvases = roots.flatMap(root => [...root.querySelectorAll("canvas")]);
            return canvases.filter(canvas => canvas.width && canvas.height).map(canvas =>
                canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
                    .data.filter((value, index) => index % 4 == 3 && value).length
            ).reduce((sum, count) => sum + count, 0);
            """
        )

    def asked_for(self):
        """The addresses of all that the page has loaded."""
        messages = (
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        )
        return {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }


@pytest.fixture
def visit(served):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.add_argument("--window-size=1280,1200")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Visit(driver, served.local_url)
    finally:
        driver.quit()


@needs_browser
def test_a_text_is_synthesized_and_shown(visit, registry):
    assert visit.download() is None
    visit.type("Hello there. How are you?")
    visit.speak()
    visit.until(visit.drawn_pixels)
    said = load("tim", registry=registry).say("Hello there. How are you?")
    np.testing.assert_allclose(visit.download(), said.samples, atol=2e-5)
    assert visit.find("#figure svg image")
    symbols = [element.text for element in visit.find("#figure svg g text")]
    assert symbols[:5] == list("hello")
    elsewhere = [
        url
        for url in visit.asked_for()
        if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))
    ]
    assert elsewhere == []


@needs_browser
def test_errors_are_shown_on_the_page(visit):
    for text, said in {
        "": "There is no text that can be pronounced",
        "word " * 1000: "The text has 5,000 characters; the limit is 1,000",
        "Жук.": "CYRILLIC SMALL LETTER ZHE",
        "<b>ü</b>": "In '<b>ü</b>'",
    }.items():
        visit.type("Hello.")
        visit.speak()
        visit.until(visit.drawn_pixels)
        assert not visit.find("[role=alert]")
        visit.type(text)
        visit.speak()
        visit.until(lambda said=said: said in visit.text_of("#message [role=alert]"))
        visit.until(lambda: visit.download() is None and not visit.find("#figure svg"))


@needs_browser
def test_selecting_a_voice_updates_speakers_and_controls(visit, registry):
    def length_scale():
        return visit.find("#control-length_scale input[type=number]")[0].get_attribute("value")

    assert length_scale() == "1.5"
    assert not visit.find("#speaker input")
    visit.choose("mel")
    visit.until(lambda: visit.find("#speaker input"))
    assert length_scale() == "1"
    assert visit.find("#speaker input")[0].get_attribute("value") == "anna"
    visit.type("Hello.")
    visit.speak()
    visit.until(visit.drawn_pixels)
    said = load("mel", registry=registry).say("Hello.")
    np.testing.assert_allclose(visit.download(), said.samples.clip(-1, 1), atol=5e-5)
    visit.choose("lost")
    visit.until(lambda: "The weights do not fit" in visit.text_of("#panel [role=alert]"))
    visit.choose("tim")
    visit.until(lambda: visit.find("#control-length_scale input"))
    assert not visit.find("#panel [role=alert]")


@needs_browser
def test_controls_change_the_audio(visit, registry):
    visit.driver.execute_script(
        """
        const box = document.querySelector("#control-length_scale input[type=number]");
        box.value = "2";
        box.dispatchEvent(new Event("input", {bubbles: true}));
        """
    )
    visit.type("Hello.")
    visit.speak()
    visit.until(visit.drawn_pixels)
    said = load("tim", registry=registry).say("Hello.", length_scale=2.0)
    np.testing.assert_allclose(visit.download(), said.samples, atol=2e-5)
