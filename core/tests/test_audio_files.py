"""Reading, writing and trimming recordings. N samples, C channels."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from allophone.audio.files import read_audio, write_audio
from allophone.audio.silence import non_silent_range, split_on_silence, trim_silence
from allophone.errors import UserError

RATE = 16000


def tone(seconds: float = 0.5, rate: int = RATE, hertz: float = 440.0) -> NDArray[np.float32]:
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_U8", 1e-2),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 1e-7),
        ("a.wav", "ULAW", 2e-2),
        ("a.flac", "PCM_24", 1e-6),
        ("a.ogg", "VORBIS", 2e-2),
        ("a.mp3", "MPEG_LAYER_III", 5e-2),
    ],
)
def test_every_sample_format_is_read_as_float32(
    tmp_path: Path, name: str, subtype: str, tolerance: float
):
    path = tmp_path / name
    soundfile.write(path, tone(), RATE, subtype=subtype)
    audio = read_audio(path)
    assert audio.samples.dtype == np.float32
    assert audio.sample_rate == RATE
    assert audio.seconds == pytest.approx(0.5)
    assert audio.notes == ()
    np.testing.assert_allclose(audio.samples, tone(), atol=tolerance)


def test_mixing_channels_is_said(tmp_path: Path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(), np.zeros_like(tone())], axis=1), RATE, subtype="FLOAT")
    audio = read_audio(path)
    np.testing.assert_allclose(audio.samples, tone() / 2, atol=1e-7)
    assert audio.notes == ("mixed 2 channels into one",)


def test_resampling_keeps_the_tone_and_is_said(tmp_path: Path):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate=48000), 48000, subtype="FLOAT")
    audio = read_audio(path, sample_rate=22050)
    assert audio.sample_rate == 22050
    assert audio.samples.dtype == np.float32
    assert audio.notes == ("resampled from 48000 to 22050 Hz",)
    expected = tone(rate=22050)
    assert len(audio.samples) == len(expected)
    np.testing.assert_allclose(audio.samples[500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("name", ["a.wav", "a.sln16"])
def test_a_part_of_a_recording_is_read(tmp_path: Path, name: str):
    path = tmp_path / name
    if name.endswith(".wav"):
        write_audio(path, tone(), RATE)
    else:
        path.write_bytes((tone() * 32768).astype("<i2").tobytes())
    part = read_audio(path, start=0.1, end=0.3)
    np.testing.assert_allclose(part.samples, tone()[1600:4800], atol=1e-4)
    np.testing.assert_allclose(read_audio(path, end=9.0).samples, tone(), atol=1e-4)
    with pytest.raises(UserError, match="from 7 s to its end"):
        read_audio(path, start=7.0)


def test_g722_is_decoded(tmp_path: Path):
    codec = pytest.importorskip("G722")
    path = tmp_path / "prompt.g722"
    sent = tone()
    path.write_bytes(codec.G722(RATE, 64000).encode((sent * 32767).astype(np.int16)))
    audio = read_audio(path)
    assert audio.sample_rate == RATE
    assert len(audio.samples) == len(sent)
    delay = 22
    np.testing.assert_allclose(audio.samples[delay + 800 :], sent[800:-delay], atol=0.02)


def test_g722_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "G722", None)
    (tmp_path / "prompt.g722").write_bytes(bytes(100))
    with pytest.raises(UserError, match=r"allophone\[g722\]"):
        read_audio(tmp_path / "prompt.g722")


def test_missing_unreadable_and_empty_recordings_are_told_apart(tmp_path: Path):
    with pytest.raises(UserError, match=r"There is no recording .*none\.wav"):
        read_audio(tmp_path / "none.wav")
    with pytest.raises(UserError, match="There is no recording"):
        read_audio(tmp_path)
    (tmp_path / "text.wav").write_text("this is no sound")
    with pytest.raises(UserError, match=r"Cannot read the recording .*text\.wav"):
        read_audio(tmp_path / "text.wav")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(UserError, match="no samples"):
        read_audio(tmp_path / "empty.wav")
    broken = tone()
    broken[7] = np.nan
    soundfile.write(tmp_path / "nan.wav", broken, RATE, subtype="FLOAT")
    with pytest.raises(UserError, match="NaN or infinite samples"):
        read_audio(tmp_path / "nan.wav")


@pytest.mark.parametrize("name", ["out.wav", "out.flac", "OUT.WAV"])
@settings(max_examples=20, deadline=None)
@given(integers=st.lists(st.integers(-32768, 32767), min_size=1, max_size=50))
def test_what_is_written_reads_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, name: str, integers: list[int]
):
    path = tmp_path_factory.mktemp("written") / name
    samples = (np.array(integers) / 32768).astype(np.float32)
    assert write_audio(path, samples, RATE) == 0
    assert soundfile.info(path).subtype == "PCM_16"
    np.testing.assert_array_equal(read_audio(path).samples, samples)


def test_clipping_is_counted_and_never_wraps(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    samples = np.array([1.5, -3.0, 1.0, -1.0, 0.0], np.float32)
    with caplog.at_level(logging.WARNING):
        assert write_audio(tmp_path / "loud.wav", samples, RATE) == 2
    assert "clipped 2 of 5 samples" in caplog.text
    top = 32767 / 32768
    np.testing.assert_allclose(read_audio(tmp_path / "loud.wav").samples, [top, -1, top, -1, 0])


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "kept.flac"
    write_audio(path, tone(), RATE)
    before = path.read_bytes()

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(soundfile, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        write_audio(path, tone(1.0), RATE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"\.wav, \.flac"):
        write_audio(tmp_path / "a.mp3", tone(), RATE)
    with pytest.raises(UserError, match=r"\[2, 8\]"):
        write_audio(tmp_path / "a.wav", np.zeros((2, 8), np.float32), RATE)
    with pytest.raises(UserError, match="int16"):
        write_audio(tmp_path / "a.wav", np.zeros(8, np.int16), RATE)
    with pytest.raises(UserError, match="NaN or infinity"):
        write_audio(tmp_path / "a.wav", np.array([0.0, np.inf], np.float32), RATE)
    assert not list(tmp_path.iterdir())


def test_silence_around_a_sound_is_cut_but_for_the_pad():
    hiss = np.random.default_rng(0).normal(0, 1e-4, 3 * RATE).astype(np.float32)
    hiss[RATE : 2 * RATE] += tone(1.0)
    first, last = non_silent_range(hiss, RATE, threshold_db=40, pad_seconds=0.1)
    assert first == pytest.approx(0.9 * RATE, abs=0.04 * RATE)
    assert last == pytest.approx(2.1 * RATE, abs=0.04 * RATE)
    np.testing.assert_array_equal(
        trim_silence(hiss, RATE, threshold_db=40, pad_seconds=0.1), hiss[first:last]
    )


def test_a_gap_inside_speech_stays():
    samples = np.concatenate([tone(), np.zeros(RATE, np.float32), tone()])
    assert len(trim_silence(samples, RATE, threshold_db=40)) == len(samples)


def test_the_threshold_decides_what_is_silence():
    samples = np.concatenate([tone() * 0.01, tone()])
    assert len(trim_silence(samples, RATE, threshold_db=60)) == len(samples)
    assert len(trim_silence(samples, RATE, threshold_db=20)) < 0.7 * len(samples)


@pytest.mark.parametrize("n", [0, 1, 100, RATE])
def test_digital_silence_is_cut_altogether(n: int):
    assert len(trim_silence(np.zeros(n, np.float32), RATE, threshold_db=40)) == 0


def test_a_sound_shorter_than_the_window_stays():
    assert len(trim_silence(np.ones(10, np.float32), RATE, threshold_db=40)) == 10


def test_a_long_recording_is_cut_at_its_pauses():
    pause, breath = np.zeros(RATE, np.float32), np.zeros(RATE // 10, np.float32)
    song = np.concatenate([pause, tone(2), breath, tone(1), pause, tone(3), pause])
    first, second = split_on_silence(song, RATE, threshold_db=40, max_seconds=20)
    assert first == pytest.approx((0.9 * RATE, 4.2 * RATE), abs=0.05 * RATE)
    assert second == pytest.approx((5.0 * RATE, 8.2 * RATE), abs=0.05 * RATE)


def test_what_has_no_pause_is_cut_where_it_is_quietest():
    song = np.concatenate([tone(7), 0.3 * tone(1), tone(6)])
    cut = split_on_silence(song, RATE, threshold_db=40, max_seconds=10)
    assert [edge for stretch in cut for edge in stretch][0::3] == [0, len(song)]
    assert cut[0][1] == cut[1][0]
    assert 7 * RATE <= cut[0][1] <= 8 * RATE


@given(
    pieces=st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.3]), st.floats(0.01, 6)), max_size=12),
    limit=st.floats(1, 5),
)
def test_cut_stretches_are_in_order_and_never_too_long(pieces, limit):
    rate = 1000
    parts = [level * tone(seconds, rate, 100) for level, seconds in pieces]
    song = np.concatenate([*parts, np.zeros(5, np.float32)])
    cut = split_on_silence(song, rate, threshold_db=30, max_seconds=limit)
    edges = [edge for stretch in cut for edge in stretch]
    assert edges == sorted(edges)
    assert all(0 < last - first <= limit * rate for first, last in cut)
    sounding = np.flatnonzero(np.abs(song) > 0.01)
    covered = np.zeros(len(song), bool)
    for first, last in cut:
        covered[first:last] = True
    if any(level == 0.3 for level, _ in pieces):
        assert covered[sounding].mean() > 0.95


@pytest.mark.parametrize("n", [0, 1, RATE])
def test_digital_silence_has_nothing_to_cut_out(n: int):
    assert split_on_silence(np.zeros(n, np.float32), RATE, threshold_db=40, max_seconds=10) == []


def test_mp3_is_read(tmp_path: Path):
    soundfile.write(tmp_path / "a.mp3", tone(1, 24000), 24000, format="MP3")
    audio = read_audio(tmp_path / "a.mp3", sample_rate=RATE, start=0.25, end=0.75)
    assert len(audio.samples) == RATE // 2
    assert 0.3 < np.abs(audio.samples).max() < 0.7
