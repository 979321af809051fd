"""Reading experiments of Amphion."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.amphion import (
    find_file,
    find_weights,
    mel_spec,
    peek_arguments,
    read_arguments,
    read_symbols,
)

PREPROCESS = {
    "sample_rate": 24000, "n_fft": 2048, "hop_size": 300, "win_size": 1200, "n_mel": 100,
    "fmin": 0, "fmax": None,
}  # fmt: skip


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    folder.mkdir()
    arguments = {"model_type": "Babble", "preprocess": PREPROCESS}
    (folder / "args.json").write_text(json.dumps(arguments))
    return folder


def test_arguments_are_found_from_any_part_of_an_experiment(
    experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = touch(experiment / "checkpoint" / "epoch-0001" / "model.safetensors")
    for source in (experiment, weights.parent.parent, weights.parent, weights):
        assert peek_arguments(source)["model_type"] == "Babble"
        assert read_arguments(source).path.parent == experiment
    monkeypatch.chdir(weights.parent)
    assert read_arguments(Path()).path.parent.name == "speech"


def test_arguments_are_searched_beside_a_symlink_not_its_target(experiment: Path) -> None:
    link = experiment / "pytorch_model.bin"
    link.symlink_to(touch(experiment.parent / "store" / "5f3c"))
    assert read_arguments(link).path == experiment / "args.json"


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    assert "model_type" not in peek_arguments(tmp_path)
    with pytest.raises(UserError, match=r"no args\.json") as caught:
        read_arguments(tmp_path)
    assert "from the experiment" in (caught.value.hint or "")
    with pytest.raises(
        UserError, match=r"no words\.list in .* or the two folders above it"
    ) as caught:
        find_file(tmp_path, "words.list", hint="Write it.")
    assert caught.value.hint == "Write it."


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("order", [1, -1])
def test_the_latest_of_several_checkpoints(experiment: Path, name: str, order: int) -> None:
    """Checkpoints are ordered by their numbers, not by name, modification time or loss."""
    folder = experiment / "checkpoint"
    checkpoints = [
        touch(folder / f"epoch-{epoch}_step-{step}_loss-{loss}" / name)
        for epoch, step, loss in [(9, 800, 0.1), (10, 900, 0.9), (10, 1000, 0.5)][::order]
    ][::order]
    (folder / "epoch-11_step-1100_loss-0.4").mkdir()
    assert find_weights(experiment) == find_weights(folder) == checkpoints[-1]
    for path in checkpoints:
        assert find_weights(path.parent) == find_weights(path) == path


def test_the_latest_of_old_vocoders(experiment: Path) -> None:
    latest = touch(experiment / "checkpoints" / "400001.pt")
    touch(experiment / "checkpoints" / "50001.pt")
    assert find_weights(experiment) == find_weights(latest.parent) == latest


def test_the_state_of_a_gradient_scaler_is_not_taken_for_weights(experiment: Path) -> None:
    touch(experiment / "scaler.pt")
    weights = touch(experiment / "pytorch_model.bin")
    assert find_weights(experiment) == weights


def test_an_experiment_without_checkpoints(experiment: Path) -> None:
    touch(experiment / "checkpoint" / "epoch-0001" / "optimizer.bin")
    with pytest.raises(UserError, match=r"neither model\.safetensors nor .* in .*speech") as caught:
        find_weights(experiment)
    assert "'checkpoint'" in (caught.value.hint or "")


def test_mel_settings_are_converted(experiment: Path) -> None:
    arguments = read_arguments(experiment)
    expected = {
        "sample_rate": 24000, "n_fft": 2048, "hop_length": 300, "win_length": 1200, "n_mels": 100,
    }  # fmt: skip
    assert mel_spec(arguments) == MelSpec(**expected, magnitude_epsilon=1e-9)
    assert mel_spec(arguments, magnitude_epsilon=0.5).magnitude_epsilon == 0.5
    (experiment / "args.json").write_text('{"preprocess": {"sample_rate": 24000}}')
    with pytest.raises(UserError, match=r"args\.json has no entry 'preprocess\.n_fft'"):
        mel_spec(read_arguments(experiment))


def test_symbols_are_numbered_in_code_point_order(tmp_path: Path) -> None:
    path = tmp_path / "symbols.dict"
    path.write_text("b 7\n\n<eps> 0\naɪ 1\n_ 2\nb 3\n", encoding="utf-8")
    table = read_symbols(path)
    assert list(table.ids) == ["<pad>", "<bos>", "<eos>", "<eps>", "_", "aɪ", "b"]
    assert list(table.ids.values()) == list(range(7))
    assert (table.blank, table.bos, table.eos) == (None, "<bos>", "<eos>")


@pytest.mark.parametrize("content", [b"", b"a 1 2\n", b"a\n", b"\xff 1\n"])
def test_a_file_that_is_not_a_symbol_table(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "symbols.dict"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"symbols\.dict (is not a symbol table|cannot be read)"):
        read_symbols(path)
