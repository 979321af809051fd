"""F0 of a gliding tone, which is known at every sample. N samples, F frames."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone_prosody.config import PitchMethod
from allophone_prosody.f0 import fundamental_frequency

RATE = 16000
CORNERED = MelSpec(sample_rate=RATE, hop_length=200, win_length=800)
SPECS = [CORNERED, MelSpec(sample_rate=RATE, hop_length=200, win_length=800, center=True)]

PACKAGES = {"pyin": "librosa", "yin": "numpy", "praat": "parselmouth", "dio": "pyworld"}


def require(method: PitchMethod) -> None:
    pytest.importorskip(PACKAGES[method])


def glide(n: int = RATE) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A harmonic tone that rises from 120 to 240 Hz after 0.3 s of faint noise, and its F0; both [N].

    It rises by 1.5 Hz in a frame of 200 samples, so a track that is a frame out of place shows.
    """
    f0 = np.linspace(120, 240, n)
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    samples = 0.1 * sum(np.sin(k * phase) / k for k in range(1, 8))
    samples[: round(0.3 * n)] = 0
    samples += np.random.default_rng(0).normal(0, 1e-4, n)
    return samples.astype(np.float32), f0


@pytest.mark.parametrize("spec", SPECS, ids=["cornered", "centered"])
@pytest.mark.parametrize(
    ("method", "tolerance"), [("pyin", 0.6), ("yin", 0.3), ("praat", 0.1), ("dio", 0.1)]
)
def test_f0_is_measured_at_frame_centres(spec: MelSpec, method: PitchMethod, tolerance: float):
    require(method)
    samples, f0 = glide(RATE + 37)
    found = fundamental_frequency(samples, spec, method=method)
    assert found.dtype == np.float32
    assert found.shape == (spec.frames(len(samples)),)
    centers = spec.frame_center + spec.hop_length * np.arange(len(found))
    silent = centers < 0.28 * RATE
    steady = (centers > 0.36 * RATE) & (centers < 0.95 * RATE)
    assert (found[silent] == 0).mean() > 0.9
    assert (found[steady] > 0).all()
    error = found[steady] - f0[centers[steady]]
    assert abs(np.median(error)) < tolerance


@pytest.mark.parametrize("method", PACKAGES)
@pytest.mark.parametrize("n", [CORNERED.min_samples, 5000])
def test_silence_has_no_pitch(method: PitchMethod, n: int):
    require(method)
    found = fundamental_frequency(np.zeros(n, np.float32), CORNERED, method=method)
    assert found.shape == (CORNERED.frames(n),)
    assert not found.any()


@pytest.mark.parametrize(
    ("method", "extra"), [("pyin", "librosa"), ("praat", "praat"), ("dio", "pyworld")]
)
def test_a_method_without_its_package_says_what_to_install(
    method: PitchMethod, extra: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, PACKAGES[method], None)
    with pytest.raises(UserError, match=rf"allophone-prosody\[{extra}\]"):
        fundamental_frequency(np.zeros(RATE, np.float32), CORNERED, method=method)


@pytest.mark.parametrize(("f_min", "f_max"), [(0.0, 400.0), (300.0, 200.0), (60.0, 9000.0)])
def test_an_invalid_range_is_an_error(f_min: float, f_max: float):
    with pytest.raises(UserError, match="Invalid F0 range"):
        fundamental_frequency(np.zeros(RATE, np.float32), CORNERED, f_min=f_min, f_max=f_max)
