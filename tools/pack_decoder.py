"""Pack what was distilled into the folder of a package: the decoder for synthesis, and what training continues from.

    python tools/pack_decoder.py FOLDER-OF-DISTILLATION PACKAGE-FOLDER TRAINING-FOLDER

decoder.onnx         the moving average of the student's decoder, weights as float16
model.safetensors    decoder and discriminators of the last checkpoint as float16, for `allophone distill --student`
curve.csv            the losses of every few steps
experiment.toml      what was trained, without paths of this machine
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import torch
from curves import write_curve

from allophone.config import read_toml, write_toml
from allophone.files.run_folder import CONFIG, WEIGHTS, find_checkpoint
from allophone.inference.exporting import export_voice
from allophone.registry import default_registry
from allophone.weights.files import read_weights, write_weights
from allophone_onnx.compression import halve
from allophone_onnx.schema import Model

LEARNT = ("generator.decoder.", "discriminator.")


@click.command
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.argument("package", type=click.Path(exists=True, path_type=Path))
@click.argument("training", type=click.Path(path_type=Path))
def main(folder: Path, package: Path, training: Path) -> None:
    """Write the files of a distilled voice."""
    run = folder / "run"
    with tempfile.TemporaryDirectory() as temporary:
        parts = Path(temporary) / "parts"
        export_voice(run, parts, "onnx", default_registry(), streaming=True)
        decoder = Model.FromString((parts / "decoder.onnx").read_bytes())
    halved = halve(decoder, keep=lambda name: ".inverse." in name)
    (package / "decoder.onnx").write_bytes(halved.SerializeToString())

    training.mkdir(exist_ok=True)
    checkpoint = find_checkpoint(run)
    weights = {
        name: tensor.half()
        for name, tensor in read_weights(checkpoint.path / WEIGHTS).items()
        if name.startswith(LEARNT) and tensor.dtype == torch.float32
    }
    write_weights(training / "model.safetensors", weights)
    write_toml(training / "experiment.toml", _portable(read_toml(checkpoint.path / CONFIG)))
    write_curve(run / "metrics.jsonl", training / "curve.csv")
    click.echo(f"Packed step {checkpoint.step:,}.")


def _portable(plain: dict[str, Any]) -> dict[str, Any]:
    """The experiment with the default paths of the recipe."""
    plain["data"]["directory"] = "data"
    plain["data"]["corpora"][0]["root"] = "teacher"
    plain["features"]["latents"]["directory"] = "teacher/latents"
    return plain


if __name__ == "__main__":
    main()
