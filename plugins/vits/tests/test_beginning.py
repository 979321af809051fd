"""What the training of a student begins with: the teacher, and what students learned before."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from letters_voice import CONFIG, voice
from torch import Tensor

from allophone.config import write_toml
from allophone.errors import UserError
from allophone.files.run_folder import AVERAGE, WEIGHTS, checkpoint_path
from allophone.files.run_folder import CONFIG as CONFIG_FILE
from allophone.registry import default_registry
from allophone.training.finetune import read_source
from allophone.weights.files import write_weights
from allophone_vits.distillation.beginning import EXPERIMENT, write_beginning
from allophone_vits.distillation.config import PARTS

DECODER = "decoder.output.weight"
FLOW = "flow.couplings.0.input.weight"


def student(decoder: float, flow: float, judge: float | None = None) -> dict[str, Tensor]:
    """Weights of a run: a decoder, a flow, and perhaps discriminators, each of one number."""
    found = {f"generator.{DECODER}": decoder, f"generator.{FLOW}": flow, "generator.durations": 0.0}
    if judge is not None:
        found["discriminator.judges.0.bias"] = judge
    return {name: torch.full((2,), value) for name, value in found.items()}


def packed(folder: Path, weights: dict[str, Tensor], parts: list[str] | None) -> Path:
    """The folder `training` of a voice package; without `parts`, of a training that was no distillation."""
    folder.mkdir()
    halves = {name: tensor.half() for name, tensor in weights.items()}
    write_weights(folder / WEIGHTS, halves)
    write_toml(folder / EXPERIMENT, {"trainer": {} if parts is None else {"parts": parts}})
    return folder


def run(folder: Path, weights: dict[str, Tensor], parts: list[str]) -> Path:
    """A run, whose moving average is a hundredth of its weights."""
    checkpoint = checkpoint_path(folder, 3)
    checkpoint.mkdir(parents=True)
    for place in (folder, checkpoint):
        write_toml(place / CONFIG_FILE, {"trainer": {"parts": parts}})
    write_weights(checkpoint / WEIGHTS, weights)
    average = {name: t / 100 for name, t in weights.items() if name.startswith("generator.")}
    write_weights(checkpoint / AVERAGE, average)
    return folder


def beginning(out: Path, students: list[Path], parts: tuple[str, ...]) -> dict[str, float]:
    """A number of each part that training begins with, by module; NaN for what is the teacher's."""
    folder = write_beginning(voice(), CONFIG, parts, students, out / "begin", default_registry())
    weights = read_source(folder, inference_module="generator").weights
    names = {"decoder": f"generator.{DECODER}", "flow": f"generator.{FLOW}"}
    names["judge"] = "discriminator.judges.0.bias"
    found = {name: weights[key] for name, key in names.items() if key in weights}
    assert "generator.text_encoder.embedding.weight" in weights
    return {
        name: float(tensor[0]) if len(tensor) == 2 and tensor.dim() == 1 else float("nan")
        for name, tensor in found.items()
    }


def test_a_packed_student_gives_what_it_learned(tmp_path: Path) -> None:
    given = packed(tmp_path / "student", student(1, 2, judge=3), ["decoder"])
    found = beginning(tmp_path, [given], ("decoder", "flow"))
    assert found == pytest.approx({"decoder": 1, "flow": float("nan"), "judge": 3}, nan_ok=True)


def test_what_is_not_to_be_learned_is_the_teachers(tmp_path: Path) -> None:
    given = packed(tmp_path / "student", student(1, 2), ["decoder", "flow"])
    assert beginning(tmp_path, [given], ("decoder",)) == pytest.approx(
        {"decoder": 1, "flow": float("nan")}, nan_ok=True
    )


def test_parts_of_several_students(tmp_path: Path) -> None:
    """Of runs the moving average, of discriminators those of the last student that has some."""
    given = [
        packed(tmp_path / "first", student(1, 2, judge=3), None),
        run(tmp_path / "decoder", student(400, 500, judge=6), ["decoder"]),
        run(tmp_path / "flow", student(700, 800), ["flow"]),
    ]
    assert beginning(tmp_path, given, PARTS) == pytest.approx({"decoder": 4, "flow": 8, "judge": 6})
    assert beginning(tmp_path, given[::-1], PARTS) == pytest.approx(
        {"decoder": 1, "flow": 2, "judge": 3}
    )


def test_a_student_of_other_parts(tmp_path: Path) -> None:
    given = packed(tmp_path / "student", student(1, 2), ["flow"])
    with pytest.raises(UserError, match="has not learned decoder or text_encoder"):
        beginning(tmp_path, [given], ("decoder", "text_encoder"))
