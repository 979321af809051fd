"""Pack a voice in training into the folder of a package: the voice as ONNX, and what training continues from.

    python tools/pack_voice.py RUN VOICE-FOLDER TRAINING-FOLDER --name asterisk --licence CC-BY-SA-3.0 --summary "..."

config.json, *.onnx  the moving average, or --from, as a voice in three parts, weights as int8 or float16
model.safetensors    generator (its moving average, without what only training uses) and discriminators, as int8
vocabulary.json      the symbols
curve.csv            the losses of every few steps
experiment.toml      what was trained, without paths of this machine

`allophone train ... --finetune TRAINING-FOLDER` goes on from the training folder, and so does `allophone distill
... --student TRAINING-FOLDER` if RUN is that of a distillation.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from curves import write_curve

from allophone.config import read_toml, write_toml
from allophone.files.run_folder import (
    AVERAGE,
    CONFIG,
    METRICS,
    VOCABULARY,
    WEIGHTS,
    Checkpoint,
    find_checkpoint,
)
from allophone.inference.exporting import export_voice
from allophone.registry import default_registry
from allophone.weights.files import quantize as quantize_tensors
from allophone.weights.files import read_weights, write_weights
from allophone_onnx.compression import halve, quantize
from allophone_onnx.schema import Model
from allophone_onnx.settings import OURS, SETTINGS
from allophone_vits.model import TRAINING_ONLY

GENERATOR = "generator."


@click.command
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("voice", type=click.Path(path_type=Path))
@click.argument("training", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "finished",
    type=click.Path(exists=True, path_type=Path),
    help="The voice folder that was made of the run, such as a sharpened one.",
)
@click.option("--name", required=True)
@click.option("--licence", required=True)
@click.option("--summary", required=True)
@click.option(
    "--weights", type=click.Choice(["int8", "float16"]), default="int8", help="Of the voice."
)
@click.option("--noise-scale", default=0.667, show_default=True, help="The voice's default.")
@click.option("--noise-scale-duration", default=0.8, show_default=True, help="As above.")
def main(
    run: Path,
    voice: Path,
    training: Path,
    finished: Path | None,
    weights: str,
    noise_scale: float,
    noise_scale_duration: float,
    **about: str,
) -> None:
    """Write both folders; what they held of this kind is replaced."""
    checkpoint = find_checkpoint(run)
    controls = {"noise_scale": noise_scale, "noise_scale_duration": noise_scale_duration}
    _write_voice(finished or checkpoint.path, voice, about, controls, weights)
    _write_training(checkpoint, training)
    write_curve(run / METRICS, training / "curve.csv")
    sizes = [sum(file.stat().st_size for file in folder.iterdir()) for folder in (voice, training)]
    click.echo(
        f"Packed step {checkpoint.step:,}: {sizes[0] / 1e6:.1f} and {sizes[1] / 1e6:.1f} MB."
    )


def _write_voice(
    source: Path,
    folder: Path,
    about: Mapping[str, str],
    controls: Mapping[str, float],
    weights: str,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        parts = Path(temporary) / "parts"
        export_voice(source, parts, "onnx", default_registry(), streaming=True)
        for file in parts.glob("*.onnx"):
            model = Model.FromString(file.read_bytes())
            # For the tables of the inverse STFT, int8 is too coarse.
            if weights == "int8":
                model = quantize(model, keep=_is_table)
            compressed = halve(model, keep=lambda name: weights == "int8" and not _is_table(name))
            (folder / file.name).write_bytes(compressed.SerializeToString())
        settings = json.loads((parts / SETTINGS).read_text("utf-8"))
    settings[OURS]["voice"]["about"] |= about
    settings[OURS]["voice"]["controls"] |= controls
    # As Piper calls them.
    settings["inference"]["noise_scale"] = controls["noise_scale"]
    settings["inference"]["noise_w"] = controls["noise_scale_duration"]
    content = json.dumps(settings, ensure_ascii=False, indent=1)
    (folder / SETTINGS).write_text(f"{content}\n", encoding="utf-8")


def _is_table(name: str) -> bool:
    return ".inverse." in name


def _write_training(checkpoint: Checkpoint, folder: Path) -> None:
    weights = read_weights(checkpoint.path / WEIGHTS)
    weights |= read_weights(checkpoint.path / AVERAGE)
    kept = {
        name: tensor
        for name, tensor in weights.items()
        # A voice teaches a new posterior encoder within minutes, so it need not be kept.
        if not TRAINING_ONLY.match(name.removeprefix(GENERATOR))
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder / WEIGHTS, quantize_tensors(kept))
    shutil.copyfile(checkpoint.path / VOCABULARY, folder / VOCABULARY)
    name = folder.resolve().parent.name
    write_toml(folder / "experiment.toml", _portable(read_toml(checkpoint.path / CONFIG), name))


def _portable(plain: dict[str, Any], name: str) -> dict[str, Any]:
    """The experiment without the folders of the machine that trained it."""
    plain["data"]["directory"] = f"data/{name}"
    corpora = plain["data"]["corpora"]
    roots = [Path(corpus["root"]) for corpus in corpora]
    for table in (*corpora, *plain["features"].values()):
        for key in ("root", "transcripts", "directory"):
            if key in table:
                table[key] = _without_machine(Path(table[key]), roots)
    return plain


def _without_machine(path: Path, roots: Sequence[Path]) -> str:
    """Where Debian's packages put it, though it may have been unpacked elsewhere; otherwise from a corpus's folder on."""
    if "usr" in path.parts:
        return str(Path("/", *path.parts[path.parts.index("usr") :]))
    for root in roots:
        if path.is_relative_to(root):
            return str(Path(root.name, path.relative_to(root)))
    return str(path)


if __name__ == "__main__":
    main()
