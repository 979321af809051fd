"""Pack a voice in training into a small folder, from which `allophone train --finetune FOLDER` goes on.

    python tools/pack_speaker.py RUN FOLDER

model.safetensors    generator (its moving average, without what only training uses) and discriminators, as int8
vocabulary.json      the symbols
curve.csv            the losses of every few steps
experiment.toml      what was trained, without paths of this machine
"""

from __future__ import annotations

import shutil
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
    find_checkpoint,
)
from allophone.weights.files import quantize, read_weights, write_weights
from allophone_vits.model import TRAINING_ONLY

GENERATOR = "generator."


@click.command
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def main(run: Path, folder: Path) -> None:
    """Write the folder."""
    checkpoint = find_checkpoint(run)
    weights = read_weights(checkpoint.path / WEIGHTS)
    weights |= read_weights(checkpoint.path / AVERAGE)
    kept = {
        name: tensor
        for name, tensor in weights.items()
        # A voice teaches a new posterior encoder within minutes, so it need not be kept.
        if not TRAINING_ONLY.match(name.removeprefix(GENERATOR))
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder / WEIGHTS, quantize(kept))
    shutil.copyfile(checkpoint.path / VOCABULARY, folder / VOCABULARY)
    write_toml(
        folder / "experiment.toml", _portable(read_toml(checkpoint.path / CONFIG), folder.name)
    )
    write_curve(run / METRICS, folder / "curve.csv")
    size = (folder / WEIGHTS).stat().st_size / 1e6
    click.echo(f"Packed step {checkpoint.step:,}: {size:.1f} MB.")


def _portable(plain: dict[str, Any], name: str) -> dict[str, Any]:
    """The experiment without the folders of the machine that trained it."""
    plain["data"]["directory"] = f"data/{name}"
    for corpus in plain["data"]["corpora"]:
        for key in ("root", "transcripts"):
            parts = Path(corpus.get(key, "")).parts
            if (
                "usr" in parts
            ):  # Where Debian's packages put it; they may have been unpacked elsewhere.
                corpus[key] = str(Path("/", *parts[parts.index("usr") :]))
    return plain


if __name__ == "__main__":
    main()
