"""What a MelSpec says about mels, and which specs it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError

HIFIGAN = MelSpec(magnitude_epsilon=1e-9, f_max=8000.0)
CENTERED = MelSpec(center=True)


def test_equal_specs_have_no_differences():
    assert MelSpec().differences(MelSpec()) == ()
    assert MelSpec() == MelSpec()
    assert hash(MelSpec()) == hash(MelSpec())


def test_differences_name_each_field_with_both_values():
    found = MelSpec().differences(HIFIGAN)
    assert found == ("magnitude_epsilon: 1e-06 against 1e-09", "f_max: None against 8000.0")


def test_a_missing_f_max_means_half_the_sample_rate():
    assert MelSpec().differences(MelSpec(f_max=11025.0)) == ()
    assert MelSpec(sample_rate=16000).differences(MelSpec(sample_rate=16000, f_max=8000.0)) == ()


def test_another_sample_rate_changes_the_meaning_of_a_missing_f_max():
    found = MelSpec().differences(MelSpec(sample_rate=16000))
    assert [line.partition(":")[0] for line in found] == ["sample_rate", "f_max"]


@pytest.mark.parametrize(
    "spec", [MelSpec(), CENTERED, MelSpec(hop_length=255, n_fft=1000, win_length=900)]
)
@given(n=st.integers(0, 5000))
def test_frames_are_the_windows_that_fit_into_the_padded_waveform(spec: MelSpec, n: int):
    padded = np.zeros(n + 2 * spec.pad_length)
    starts = range(0, len(padded) - spec.n_fft + 1, spec.hop_length)
    assert spec.frames(n) == len(starts)


def test_vits_frames_are_whole_hops():
    assert [MelSpec().frames(n) for n in (8192, 8191, 8448)] == [32, 31, 33]
    assert MelSpec().seconds(86) == pytest.approx(86 * 256 / 22050)


def test_frame_centers_follow_the_padding():
    assert MelSpec().frame_center == 128
    assert CENTERED.frame_center == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"hop_length": 0}, "hop_length"),
        ({"n_mels": -1}, "n_mels"),
        ({"win_length": 2048}, "n_fft"),
        ({"hop_length": 1200, "n_fft": 2048}, "hop_length"),
        ({"f_max": 12000.0}, "f_max"),
        ({"f_min": 9000.0, "f_max": 8000.0}, "f_min"),
        ({"f_min": -1.0}, "f_min"),
        ({"magnitude_epsilon": -1e-9}, "magnitude_epsilon"),
        ({"log_floor": 0.0}, "log_floor"),
        ({"clip_low": 1.0, "clip_high": 0.0}, "clip_low"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_by_name(changes: dict[str, float], named: str):
    with pytest.raises(UserError, match=named):
        evolve(MelSpec(), **changes)
