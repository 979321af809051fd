"""Folders of mels: written, read in either orientation, refused where they hold something else."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from allophone.audio.mel_files import (
    check_description,
    check_mel,
    read_description,
    read_mel,
    write_description,
    write_mel,
)
from allophone.audio.melspec import MelSpec
from allophone.errors import UserError

SPEC = MelSpec(n_mels=8)
MEL = np.arange(8 * 5, dtype=np.float32).reshape(8, 5)


def saved(tmp_path, array, **how):
    np.save(tmp_path / "a.npy", array, **how)
    return tmp_path / "a.npy"


def test_a_mel_reads_back_as_it_was_written(tmp_path):
    write_mel(tmp_path / "folder" / "a.npy", MEL)
    read = read_mel(tmp_path / "folder" / "a.npy", SPEC)
    assert read.dtype == np.float32
    assert np.array_equal(read, MEL)


@pytest.mark.parametrize(
    "array", [MEL.T, MEL[None], MEL.T[None], MEL.astype(np.float16), MEL.astype(np.float64)]
)
def test_the_forms_that_others_write_are_read(tmp_path, array):
    read = read_mel(saved(tmp_path, array), SPEC)
    assert read.dtype == np.float32
    assert read.flags.c_contiguous
    assert np.array_equal(read, MEL)


def test_a_square_is_taken_to_have_its_bands_first(tmp_path):
    square = np.arange(64, dtype=np.float32).reshape(8, 8)
    assert np.array_equal(read_mel(saved(tmp_path, square), SPEC), square)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.array(["a"]), "not real numbers"),
        (MEL.astype(complex), "not real numbers"),
        (np.where(MEL == 3, np.nan, MEL), "NaN or infinity"),
        (np.where(MEL == 3, -np.inf, MEL), "NaN or infinity"),
        (MEL[:7], "7 bands, expected 8"),
        (np.zeros((8, 0)), "is empty"),
        (np.zeros((0, 8)), "is empty"),
        (MEL[0], "has the shape"),
        (np.zeros((2, 8, 5)), "has the shape"),
        (np.zeros((2, 2, 8, 5)), "has the shape"),
        (np.float32(3), "has the shape"),
        (1e39 * MEL.astype(np.float64), "NaN or infinity"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_what_is_no_mel_is_refused_with_its_path(tmp_path, array, complaint):
    path = saved(tmp_path, array)
    with pytest.raises(UserError, match=complaint) as refused:
        read_mel(path, SPEC)
    assert str(path) in refused.value.message


def test_what_is_no_numpy_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_mel(tmp_path / "missing.npy", SPEC)
    (tmp_path / "text.npy").write_text("no mel")
    with pytest.raises(UserError, match="is not a numeric NumPy file"):
        read_mel(tmp_path / "text.npy", SPEC)
    (tmp_path / "empty.npy").touch()
    with pytest.raises(UserError, match="cannot be read"):
        read_mel(tmp_path / "empty.npy", SPEC)
    whole = saved(tmp_path, MEL).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-4])
    with pytest.raises(UserError, match="or it is truncated"):
        read_mel(tmp_path / "cut.npy", SPEC)
    with pytest.raises(UserError, match="is not a numeric NumPy file"):
        read_mel(saved(tmp_path, np.array([MEL, None], dtype=object), allow_pickle=True), SPEC)
    np.savez(tmp_path / "archive.npy", mel=MEL)
    (tmp_path / "archive.npy.npz").rename(tmp_path / "archive.npy")
    with pytest.raises(UserError, match="an archive"):
        read_mel(tmp_path / "archive.npy", SPEC)


def test_tensors_are_checked_alike_and_a_transposed_one_is_told_so():
    batch = torch.from_numpy(MEL)[None]
    check_mel(batch, SPEC)
    with pytest.raises(UserError, match=r"transposed: expected \[batch, bands, frames\]"):
        check_mel(batch.transpose(1, 2), SPEC)
    with pytest.raises(UserError, match=r"What was said has .* 8 bands, expected 80"):
        check_mel(batch, MelSpec(), where="What was said")
    batch[0, 2, 3] = torch.nan
    with pytest.raises(UserError, match="NaN"):
        check_mel(batch, SPEC)


# mels.toml.


@given(
    st.builds(
        MelSpec,
        center=st.booleans(),
        padding=st.sampled_from(["reflect", "zeros"]),
        power=st.sampled_from([1, 2]),
        f_max=st.none() | st.floats(4000, 11025),
        magnitude_epsilon=st.floats(0, 1e-3),
        log_base=st.sampled_from(["e", "10", "none"]),
        clip_low=st.none() | st.floats(-100, -1),
    )
)
def test_a_description_reads_back_equal(tmp_path_factory, spec):
    folder = tmp_path_factory.mktemp("mels")
    write_description(folder, spec, {"voice": "runs/lj"})
    assert read_description(folder) == spec
    assert tomllib.loads((folder / "mels.toml").read_text())["provenance"] == {"voice": "runs/lj"}


def test_a_folder_without_a_description_has_none(tmp_path):
    assert read_description(tmp_path) is None
    check_description(tmp_path, SPEC, wanted_by="the vocoder")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[audio", "is not valid TOML"),
        ("sample_rate = 22050", r"no table \[audio\]"),
        ("audio = 3", r"no table \[audio\]"),
        ("[audio]\nhop_lenght = 256", "audio.hop_lenght.\nDid you mean 'hop_length'"),
        ("[audio]\nhop_length = 256.0", "invalid value 256.0 for audio.hop_length"),
        ("[audio]\nhop_length = true", "invalid value True for audio.hop_length"),
        ("[audio]\npower = 3", "invalid value 3 for audio.power"),
        ("[audio]\npower = true", "invalid value True for audio.power"),
        ('[audio]\nf_max = "8000"', "invalid value '8000' for audio.f_max"),
        ("[audio]\ncenter = 1", "invalid value 1 for audio.center"),
        ("[audio]\nwin_length = 2048", "audio.win_length .* is longer"),
    ],
)
def test_a_mistake_in_a_description_is_named(tmp_path, text, complaint):
    (tmp_path / "mels.toml").write_text(text)
    with pytest.raises(UserError, match=complaint):
        read_description(tmp_path)


def test_whole_numbers_will_do_for_frequencies(tmp_path):
    (tmp_path / "mels.toml").write_text("[audio]\nf_max = 8000\n")
    assert read_description(tmp_path) == MelSpec(f_max=8000.0)


def test_other_mels_are_refused_field_by_field(tmp_path):
    write_description(tmp_path, SPEC, {})
    check_description(tmp_path, SPEC, wanted_by="the vocoder")
    other = evolve(SPEC, f_max=8000.0, log_base="10")
    with pytest.raises(UserError, match=r"the vocoder:\n  f_max: None.*8000.0\n  log_base: e.*10"):
        check_description(tmp_path, other, wanted_by="the vocoder")
