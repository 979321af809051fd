"""Reading other projects' files and converting their state dicts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from allophone.errors import UserError
from allophone.foreign.files import read_pickled, read_state_dict
from allophone.foreign.settings import peek_json, read_json, read_yaml
from allophone.foreign.tensors import NORM_RULES, Shapes, convert_state_dict, rename


def test_paths_and_numbers_in_a_checkpoint_are_read(tmp_path):
    content = {
        "epoch": 3,
        "where": Path("data"),
        "scheduler": {"rate": np.float64(0.5)},
        "state": {"weight": torch.ones(2)},
    }
    torch.save(content, tmp_path / "a.pt")
    read = read_pickled(tmp_path / "a.pt")
    assert read["where"] == Path("data")
    assert read["scheduler"]["rate"] == 0.5
    assert read["state"]["weight"].tolist() == [1, 1]


def test_a_file_that_could_execute_code_is_refused(tmp_path):
    torch.save({"model": Path.exists}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="not loaded, for safety"):
        read_pickled(tmp_path / "a.pt")


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"weight": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="truncated or not a PyTorch file"):
        read_pickled(path)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_bare_state_dict(tmp_path, name):
    path = tmp_path / name
    state = {"module.weight": torch.ones(2), "bias": torch.zeros(2)}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    assert read_state_dict(path).keys() == {"weight", "bias"}
    assert read_state_dict(path, "model", bare=True).keys() == {"weight", "bias"}
    with pytest.raises(UserError, match="no entry 'model'") as caught:
        read_state_dict(path, "model")
    assert "It has: " in str(caught.value)


def test_a_state_dict_in_an_entry(tmp_path):
    torch.save({"model": {"weight": torch.ones(2), "epoch": 1}}, tmp_path / "a.pt")
    for bare in (False, True):
        assert read_state_dict(tmp_path / "a.pt", "model", bare=bare).keys() == {"weight"}
    with pytest.raises(UserError, match="contains no weights"):
        read_state_dict(tmp_path / "a.pt")


def test_missing_settings_are_named(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model": {"sizes": {"layers": 3}, "f_max": null, "f_min": 0}}')
    settings = read_json(path)
    assert settings["model.sizes.layers"] == 3
    assert "model.sizes" in settings
    assert "model.sizes.layers.more" not in settings
    assert settings.get("model.heads", 2) == 2
    model = settings.table("model")
    assert model.optional_float("f_max") is None
    assert model.optional_float("f_min") == 0.0
    with pytest.raises(UserError, match=r"config\.json has no entry 'model\.sizes\.heads'"):
        model.table("sizes")["heads"]
    with pytest.raises(UserError, match=r"'model\.f_min' is not a table"):
        model.table("f_min")


def test_json_with_comments_and_trailing_commas(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(
        '// by hand\n{"url": "https://a/b,]", "list": [1, 2, // two\n], "quote": "\\"//\\"",}'
    )
    assert read_json(path).content == {"url": "https://a/b,]", "list": [1, 2], "quote": '"//"'}


@pytest.mark.parametrize("text", ["[1]", "{", "\x80"])
def test_files_without_settings(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"config\.json"):
        read_json(path)
    assert "model" not in peek_json(path)
    assert "model" not in peek_json(None)


def test_yaml(tmp_path, monkeypatch):
    yaml = pytest.importorskip("yaml")
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump({"sizes": {"layers": 3}}))
    assert read_yaml(path)["sizes.layers"] == 3
    path.write_text("a: [")
    with pytest.raises(UserError, match="not valid YAML"):
        read_yaml(path)

    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UserError, match="needs the package PyYAML"):
        read_yaml(path)


def test_norms_have_one_name():
    new = weight_norm(nn.Conv1d(2, 3, 1)).state_dict()
    assert {rename(name, NORM_RULES) for name in new} == {"bias", "weight_g", "weight_v"}
    new = spectral_norm(nn.Conv1d(2, 3, 1)).state_dict()
    assert {rename(name, NORM_RULES) for name in new} == {
        "bias",
        "weight_orig",
        "weight_u",
        "weight_v",
    }


@pytest.fixture
def ours():
    return nn.ModuleDict({"input": weight_norm(nn.Conv1d(2, 3, 3)), "norm": nn.BatchNorm1d(3)})


def reference_name(name):
    return name.replace("input.", "conv_pre.")


def theirs_of(module):
    """The same weights with the names of an old checkpoint."""
    return {
        rename(reference_name(name), NORM_RULES): tensor.clone()
        for name, tensor in module.state_dict().items()
    }


def test_a_state_dict_is_converted(ours):
    theirs = theirs_of(ours)
    placed = convert_state_dict(
        {
            name: tensor.double() if tensor.is_floating_point() else tensor
            for name, tensor in theirs.items()
        },
        ours.state_dict(),
        reference_name,
    )
    assert placed.keys() == ours.state_dict().keys()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(placed[name], tensor)
        assert placed[name].dtype == tensor.dtype


def test_a_removed_weight_norm_is_split_again(ours):
    theirs = theirs_of(ours)
    del theirs["conv_pre.weight_g"], theirs["conv_pre.weight_v"]
    theirs["conv_pre.weight"] = ours["input"].weight.detach()
    other = nn.ModuleDict({"input": weight_norm(nn.Conv1d(2, 3, 3)), "norm": nn.BatchNorm1d(3)})
    other.load_state_dict(convert_state_dict(theirs, ours.state_dict(), reference_name))
    torch.testing.assert_close(other["input"].weight, ours["input"].weight)


def test_mismatches_are_listed(ours):
    theirs = theirs_of(ours)
    del theirs["conv_pre.bias"]
    theirs |= {"gst.bias": torch.ones(1), "norm.weight": torch.ones(4)}
    with pytest.raises(UserError) as caught:
        convert_state_dict(theirs, ours.state_dict(), reference_name)
    for line in (
        "3 tensors",
        "missing: conv_pre.bias",
        "unexpected: gst.bias",
        "norm.weight: shape [4], expected [3]",
    ):
        assert line in str(caught.value)


def test_shapes_are_found_with_and_without_a_norm(ours):
    shape = Shapes(
        theirs_of(ours) | {"blocks.4.a": torch.ones(1), "blocks.10.a": torch.ones(1)}, "X"
    )
    assert shape("conv_pre") == (3, 2, 3)
    assert shape("norm") == (3,)
    assert shape.count(r"blocks\.(\d+)\.") == 11
    assert shape.count(r"layers\.(\d+)\.") == 0
    with pytest.raises(UserError, match=r"of X: there is no tensor 'output\.weight'"):
        shape("output")
