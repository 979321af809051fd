"""The installed voice, with the packages of the extra `testing`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest

import allophone
from allophone.registry import default_registry
from allophone.synthesis.voice import Voice

SILENT = {"noise_scale": 0.0, "noise_scale_duration": 0.0}
PARITY = 2e-4

LIGHT = """
import sys
import allophone
voice = allophone.load("joe")
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
    return allophone.load("joe")


def test_the_sample_rate_is_22050_hz(voice):
    assert voice.sample_rate == 22050


def test_a_longer_text_takes_longer(voice):
    short, long = (voice.say(text, seed=0) for text in ("Good.", "Good morning to all of you."))
    assert 0.2 < short.seconds < long.seconds < 4
    assert 0.05 < np.abs(long.samples).max() <= 1


def test_amounts_are_normalized(voice):
    amount, words = (voice.say(f"It costs {it}.", seed=0) for it in ("$5", "five dollars"))
    assert np.array_equal(amount.samples, words.samples)


def test_name_and_licence_match_the_entry(voice):
    entry = default_registry().entries("voices")["joe"]
    about = voice.description.about
    assert (about.name, about.licence, about.summary) == ("joe", entry.licence, entry.summary)
    assert "CC0-1.0" in about.licence


def test_synthesis_does_not_import_torch():
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["allophone_onnx.engine", "False"]


@pytest.mark.skipif(
    find_spec("allophone_vits") is None or find_spec("onnx") is None,
    reason="needs allophone-vits[piper]",
)
def test_the_torch_engine_gives_the_same_audio(voice):
    same = allophone.load("joe", engine="torch")
    text = "Good morning to all of you."
    said, expected = (one.say(text, **SILENT).samples for one in (same, voice))
    assert said.shape == expected.shape
    np.testing.assert_allclose(said, expected, rtol=0, atol=PARITY)
