"""Recordings that can be decoded and are not what they should be: noted by name, or left out."""

from __future__ import annotations

import json
import os
import struct
import time

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from allophone.audio.files import read_audio
from allophone.cli.extract import command
from allophone.config import Experiment, read_toml, structure, write_toml
from allophone.errors import UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry

RATE = 8000
TONE = 0.5 * np.sin(np.arange(2 * RATE) * 0.3)
LONG = np.tile(TONE, 10) + 0.1 * np.random.default_rng(0).standard_normal(20 * RATE)
OPPOSITE = np.stack([TONE, -TONE], axis=1)


def wav(path, samples, *, keep=1.0, format="WAV", **how):
    """Write a recording, of which the disk keeps a share."""
    soundfile.write(path, samples, RATE, format=format, **how)
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * keep)])


def stated(path, size):
    """Write a WAV whose header states another size than it has, as what writes to a pipe does."""
    wav(path, TONE)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)


RECORDINGS = {
    "good": lambda path: wav(path, TONE),
    "one-silent-channel": lambda path: wav(path, np.stack([TONE, 0 * TONE], axis=1)),
    "to-a-pipe": lambda path: stated(path, 0xFFFFFFFF),
    "to-another-pipe": lambda path: stated(path, 0x7FFFFFFF),
    "quiet": lambda path: wav(path, TONE / 5000),
    "loud": lambda path: wav(path, 3.66 * TONE, subtype="FLOAT"),
    "negative-peak": lambda path: wav(path, -1.2 * np.abs(TONE * 2), subtype="FLOAT"),
    "the-same-loud": lambda path: wav(path, 3.66 * TONE, subtype="FLOAT"),
    "ends-early": lambda path: wav(path, TONE, keep=0.95),
    "loud-and-early": lambda path: wav(path, 3.66 * TONE, keep=0.95, subtype="FLOAT"),
    "silent": lambda path: wav(path, 0 * TONE),
    "dither": lambda path: wav(path, np.sign(TONE) / 2**15),
    "opposite": lambda path: wav(path, OPPOSITE),
    "nearly-opposite": lambda path: wav(path, OPPOSITE + 0.001, subtype="FLOAT"),
    "half": lambda path: wav(path, TONE, keep=0.5),
    "half-of-floats": lambda path: wav(path, TONE, keep=0.5, subtype="FLOAT"),
    "half-of-aiff": lambda path: wav(path, TONE, keep=0.5, format="AIFF"),
    "half-of-flac": lambda path: wav(path, TONE, keep=0.5, format="FLAC"),
    # A page of Ogg may have seconds: of shorter recordings nothing can be cut off.
    "whole-vorbis": lambda path: wav(path, LONG, format="OGG", subtype="VORBIS"),
    "most-of-vorbis": lambda path: wav(path, LONG, keep=0.9, format="OGG", subtype="VORBIS"),
    "most-of-opus": lambda path: wav(path, LONG, keep=0.9, format="OGG", subtype="OPUS"),
    "half-of-mp3": lambda path: wav(path, TONE, keep=0.5, format="MP3"),
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
}

ODD = {
    "loud": ("beyond full scale", "its peak is 1.83"),
    "the-same-loud": ("beyond full scale", "its peak is 1.83"),
    "negative-peak": ("beyond full scale", "its peak is 1.2"),
    "ends-early": ("ends early", "it ends 0.10 s before it should, after 1.90 s"),
    "loud-and-early": ("ends early, beyond full scale", "its peak is 1.83"),
    "most-of-vorbis": ("has no end", "the file was cut off at some time after"),
    "most-of-opus": ("has no end", "the file was cut off at some time after"),
    "slice-a-bit-longer": ("ends early", "it ends 0.10 s before it should, after 1.50 s"),
}

LEFT_OUT = {
    "silent": ("silent recording", "its peak is 0 of full scale"),
    "dither": ("silent recording", "its peak is 3e-05 of full scale"),
    "opposite": ("channels cancel out", "mixed into one they have a peak of 2e-05, alone of 0.5"),
    "nearly-opposite": ("channels cancel out", "a peak of 0.001, alone of 0.5"),
    "half": ("cut off", "it ends 1.00 s before it should, after 1.00 s"),
    "half-of-floats": ("cut off", "before it should, after 1.00 s"),
    "half-of-aiff": ("cut off", "before it should, after 1.00 s"),
    "half-of-flac": ("unreadable audio", "Cannot read the recording"),
    "half-of-mp3": ("cut off", "before it should, after"),
    "slice-too-long": ("cut off", "it ends 4.00 s before it should, after 1.00 s"),
    "slice-beyond": ("unreadable audio", "has no samples from 7 s to 8 s"),
    "pipe": ("missing recording", "pipe is a named pipe; expected a file"),
    "device": ("missing recording", "device is a device; expected a file"),
    "folder": ("missing recording", "folder is a folder; expected a file"),
}

SLICES = {
    "slice": ("good", 0.5, 1.5),
    "slice-rounded-up": ("good", 0.5, 2.04),
    "slice-a-bit-longer": ("good", 0.5, 2.1),
    "slice-too-long": ("good", 1.0, 6.0),
    "slice-beyond": ("good", 7.0, 8.0),
    "slice-of-what-is-there": ("half", 0.2, 0.8),
    "slice-of-ogg-that-is-there": ("most-of-vorbis", 1.0, 2.0),
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """An experiment with all of them, prepared; its file."""
    root = tmp_path_factory.mktemp("odd")
    rows = []
    for name, write in RECORDINGS.items():
        write(root / name)
        rows.append({"audio": name, "text": f"Text {name}"})
    for name, (audio, start, end) in SLICES.items():
        text = f"Text {name}"
        rows.append({"id": name, "audio": audio, "text": text, "start": start, "end": end})
    (root / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    plain = {
        "data": {
            "directory": str(root / "data"),
            "corpora": [{"type": "table", "root": str(root), "file": "list.jsonl"}],
        },
        "audio": {"sample_rate": RATE, "n_fft": 256, "hop_length": 64, "win_length": 256},
        "features": {"waveform": {"type": "waveform"}},
    }
    # Opening a pipe would wait for ever, and a device has no end.
    began = time.monotonic()
    write_toml(root / "experiment.toml", plain)
    prepare(structure(Experiment, plain), default_registry())
    assert time.monotonic() - began < 60
    return root / "experiment.toml"


def test_each_is_noted_or_left_out_by_name(config):
    experiment = structure(Experiment, read_toml(config))
    extracted = extract(experiment, default_registry())
    assert {id: why.reason for id, why in extracted.dropped.items()} == {
        id: reason for id, (reason, _) in LEFT_OUT.items()
    }
    assert {id: why.reason for id, why in extracted.remarks.items()} == {
        id: reason for id, (reason, _) in ODD.items()
    }
    for found, expected in ((extracted.dropped, LEFT_OUT), (extracted.remarks, ODD)):
        for id, (_, detail) in expected.items():
            assert detail in found[id].detail
    assert extracted.usable == len(RECORDINGS) + len(SLICES) - len(LEFT_OUT)


def test_what_is_noted_stays_noted_until_the_recording_is_another(config):
    experiment = structure(Experiment, read_toml(config))
    first = extract(experiment, default_registry())
    again = extract(experiment, default_registry())
    assert not any(again.computed.values())
    assert again.remarks == first.remarks
    named = [json.loads(line)["id"] for line in again.remarked.read_text().splitlines()]
    assert named == list(again.remarks)
    loud = config.parent / "loud"
    before = loud.read_bytes()
    wav(loud, TONE)
    mended = extract(experiment, default_registry())
    assert mended.remarks.keys() == first.remarks.keys() - {"loud"}
    loud.write_bytes(before)


def test_the_command_shows_both(config):
    result = CliRunner().invoke(command, [str(config), "--workers", "1"], catch_exceptions=False)
    assert result.exit_code == 0
    shown = " ".join(result.output.split())
    assert "left out (all are listed in" in shown
    assert "used, but odd (all are listed in" in shown
    assert "beyond full scale" in shown


@pytest.mark.parametrize("how", [{"start": float("nan")}, {"end": float("inf")}])
def test_a_part_that_is_no_number_is_refused(tmp_path, how):
    wav(tmp_path / "a.wav", TONE)
    with pytest.raises(UserError, match="of a part of .*a.wav must be a finite number"):
        read_audio(tmp_path / "a.wav", **how)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(UserError, match=r"a\.wav is a named pipe; expected a file"):
        read_audio(tmp_path / "a.wav")
