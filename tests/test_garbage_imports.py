"""Every importer of every family refuses damaged files with an error that names what was given."""

import json
import os
import struct

import pytest
import torch

import allophone
from allophone.errors import UserError
from allophone.inference.formats import formats
from allophone.inference.importing import import_checkpoint
from allophone.registry import default_registry

IMPORTERS = sorted(format.name for format in formats("importers", default_registry()))


def safetensors(header, data=b""):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
WEIGHTS = {
    "empty": b"",
    "words": b"These are words, not weights.",
    "binary": bytes(range(256)) * 10,
    "of a huge header": struct.pack("<Q", 2**62) + b"{}",
    "without tensors": safetensors({}),
    "of other tensors": safetensors({"a.weight": ENTRY}, bytes(8)),
    "cut off": safetensors({"a.weight": ENTRY}, bytes(4)),
    "of a deep header": safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "of a header of other kinds": safetensors({"a": 5, "b": [], "c": {"dtype": 1, "shape": "x"}}),
    "of an impossible shape": safetensors(
        {"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 8]}}, bytes(8)
    ),
}
PICKLED = {
    "a number": 5,
    "a list": [1, 2],
    "other tensors": {"a.weight": torch.zeros(2)},
    "entries of other kinds": dict.fromkeys(
        ("model", "generator", "net_g", "state_dict", "weight", "config", "args", "params"), 5
    ),
    "empty entries": {
        name: {}
        for name in ("model", "generator", "net_g", "state_dict", "hyper_parameters", "config")
    },
}
SETTINGS = (
    b"",
    b"[]",
    b"{}",
    b'{"audio": 5, "model": [], "data": null, "text": 5}',
    b"[" * 100_000,
    bytes(range(256)),
)
SETTINGS_NAMES = ("config.json", "args.json", "config.yaml", "vocoder.json", "phones.json")
NAMES = ("model", "G_1", "g_00000001", "generator", "weights", "pytorch_model")


@pytest.fixture
def refused(tmp_path):
    """refused(source) imports it with each importer; all must raise UserError, with a short message."""

    def attempt(name, source):
        with pytest.raises(UserError) as caught:
            import_checkpoint(source, tmp_path / "imported", name, default_registry())
        assert str(tmp_path) in str(caught.value)
        # The importer's hint may explain a whole layout of files.
        assert len(caught.value.message) < 800, caught.value.message
        assert not (tmp_path / "imported").exists()

    return attempt


@pytest.mark.parametrize("content", WEIGHTS)
@pytest.mark.parametrize("name", IMPORTERS)
def test_damaged_safetensors(refused, tmp_path, name, content):
    for place in (tmp_path / "some.safetensors", tmp_path / "folder" / "model.safetensors"):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(WEIGHTS[content])
        refused(name, place)
    refused(name, tmp_path / "folder")


@pytest.mark.parametrize("content", [*WEIGHTS, *PICKLED])
@pytest.mark.parametrize("name", IMPORTERS)
def test_damaged_pickles(refused, tmp_path, name, content):
    for ending in (".pth", ".pt", ".ckpt", ".bin", ""):
        place = tmp_path / f"some{ending}"
        if content in WEIGHTS:
            place.write_bytes(WEIGHTS[content])
        else:
            torch.save(PICKLED[content], place)
        refused(name, place)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", IMPORTERS)
def test_damaged_settings_beside_weights(refused, tmp_path, name, settings):
    for names in SETTINGS_NAMES:
        (tmp_path / names).write_bytes(settings)
    for stem in NAMES:
        (tmp_path / f"{stem}.safetensors").write_bytes(WEIGHTS["of other tensors"])
        torch.save(PICKLED["empty entries"], tmp_path / f"{stem}.pth")
    refused(name, tmp_path)
    refused(name, tmp_path / "G_1.pth")
    refused(name, tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", IMPORTERS)
def test_what_is_no_file(refused, tmp_path, name):
    refused(name, tmp_path / "none.pth")
    (tmp_path / "empty").mkdir()
    refused(name, tmp_path / "empty")
    for ending in (".pth", ".safetensors"):
        os.mkfifo(tmp_path / f"pipe{ending}")
        refused(name, tmp_path / f"pipe{ending}")


def test_a_named_pipe_is_no_voice(tmp_path):
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(UserError, match="is a named pipe; expected a file or a folder"):
        allophone.load(tmp_path / "pipe.onnx")
