"""The installed voice: it says what joe says, in the same time, without PyTorch."""

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
from allophone_voice_joe_fast import files

TEXT = "Good morning to all of you, and thank you for waiting so long."

LIGHT = """
import sys
import allophone
voice = allophone.load("joe-fast")
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
    return allophone.load("joe-fast")


def test_it_speaks_as_joe_does(voice: Voice) -> None:
    """Text encoder, durations and flow are joe's, so that both have the same frames and nearly the same mels."""
    joe = allophone.load("joe")
    said, expected = (one.say(TEXT, seed=1).samples for one in (voice, joe))
    assert len(said) == len(expected)
    loud, taught = (np.sqrt(np.square(_frames(one)).mean(1)) for one in (said, expected))
    assert np.corrcoef(np.log(loud + 1e-3), np.log(taught + 1e-3))[0, 1] > 0.95


def test_a_stream_is_the_whole(voice: Voice) -> None:
    chunks = list(voice.stream(TEXT, seed=1))
    assert len(chunks) > 2
    said = voice.say(TEXT, seed=1).samples
    np.testing.assert_allclose(np.concatenate(chunks), said, rtol=0, atol=1e-5)


def test_the_margin_is_what_a_frame_needs(voice: Voice) -> None:
    """Chunks decode with this context; the decoder in one piece gives the same samples."""
    import onnxruntime

    decoder = onnxruntime.InferenceSession(str(files.locate() / "decoder.onnx"))
    latents = np.random.default_rng(0).standard_normal((1, 192, 100)).astype(np.float32)
    (whole,) = decoder.run(None, {"latents": latents})
    margin = files.DECODER_MARGIN
    (part,) = decoder.run(None, {"latents": latents[:, :, 50 - margin : 51 + margin]})
    expected = whole.reshape(100, 256)[50]
    np.testing.assert_allclose(part.reshape(-1, 256)[margin], expected, rtol=0, atol=1e-5)


def test_name_and_licence_match_the_entry(voice: Voice) -> None:
    entry = default_registry().entries("voices")["joe-fast"]
    about = voice.description.about
    assert (about.name, about.licence, about.summary) == (
        "joe-fast",
        entry.licence,
        entry.summary,
    )


def test_the_files_are_made_once(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_join", lambda *_: pytest.fail("joined again"))
    assert files.locate().is_dir()


def test_synthesis_does_not_import_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["allophone_onnx.engine", "False"]


def test_the_package_stays_small() -> None:
    package = Path(files.__file__).parent
    assert sum(path.stat().st_size for path in package.rglob("*") if path.is_file()) < 20_000_000


def _frames(samples: np.ndarray) -> np.ndarray:
    return samples[: len(samples) // 256 * 256].reshape(-1, 256)
