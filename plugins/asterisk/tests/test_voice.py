"""The installed voice, with the packages of the extra `testing`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import allophone
from allophone.registry import default_registry
from allophone.synthesis.voice import Voice
from allophone_voice_asterisk import files

TEXT = "Good morning to all of you, and thank you for waiting so long."

LIGHT = """
import sys
import allophone
voice = allophone.load("asterisk")
assert voice.say("Good.").seconds > 0
print(type(voice.engine).__module__, "torch" in sys.modules)
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's cache is left alone, by subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def voice(cache: None) -> Voice:
    return allophone.load("asterisk")


def test_a_longer_text_takes_longer(voice: Voice) -> None:
    short, long = (voice.say(text, seed=0) for text in ("Good.", TEXT))
    assert 0.2 < short.seconds < long.seconds < 6
    assert 0.05 < np.abs(long.samples).max() <= 1
    assert voice.sample_rate == 22050


def test_its_pitch_is_a_womans(voice: Voice) -> None:
    """It began as that of a man."""
    samples = voice.say(TEXT, seed=0).samples
    frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256]
    frames = frames[np.square(frames).mean(1) > 0.1 * np.square(frames).mean()]
    spectra = np.abs(np.fft.rfft(frames * np.hanning(1024), 4096)) ** 2
    correlation = np.fft.irfft(spectra)[:, : 22050 // 60]
    lags = np.arange(22050 // 400, 22050 // 60)
    pitch = np.median(22050 / lags[correlation[:, lags].argmax(1)])
    assert 150 < pitch < 300


def test_a_stream_is_the_whole(voice: Voice) -> None:
    chunks = list(voice.stream(TEXT, seed=1))
    assert len(chunks) > 2
    said = voice.say(TEXT, seed=1).samples
    np.testing.assert_allclose(np.concatenate(chunks), said, rtol=0, atol=1e-5)


def test_name_and_licence_match_the_entry(voice: Voice) -> None:
    entry = default_registry().entries("voices")["asterisk"]
    about = voice.description.about
    assert (about.name, about.licence, about.summary) == ("asterisk", entry.licence, entry.summary)


def test_synthesis_does_not_import_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["allophone_onnx.engine", "False"]


def test_the_package_stays_small() -> None:
    package = Path(files.__file__).parent
    assert sum(path.stat().st_size for path in package.rglob("*") if path.is_file()) < 20_000_000
