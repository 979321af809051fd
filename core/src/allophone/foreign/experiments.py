"""Experiments of Amphion's vocoder recipes: `args.json`, and weights in one of two layouts.

Older ones are `NAME.pt`; newer ones are folders as accelerate writes them, with the generator as the first
model.
"""

from __future__ import annotations

import re
from pathlib import Path

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.files import Settings, read_json

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def find_arguments(source: Path) -> Path | None:
    """The file args.json of an experiment: in the folder itself or up to two above."""
    here = source.resolve()
    folders = ([here] if here.is_dir() else []) + list(here.parents[:2])
    return next((path for folder in folders if (path := folder / "args.json").is_file()), None)


def read_arguments(source: Path) -> Settings:
    """What an experiment was run with; UserError where nothing says so."""
    path = find_arguments(source)
    if path is None:
        raise UserError(
            f"There is no args.json in {source} or above it.",
            hint="Copy it from the experiment that the checkpoint is of.",
        )
    return read_json(path)


def find_weights(source: Path) -> Path:
    """The file with the weights of a checkpoint, or of the latest one; UserError where there is none."""
    if source.is_file():
        return source
    folders = [source, *(source / name for name in ("checkpoint", "checkpoints"))]
    found = [path for folder in folders for path in [*folder.glob("*.pt"), *_saved(folder)]]
    if not found:
        raise UserError(f"There is no checkpoint in {source}.")
    return max(found, key=_number)


def audio_of(settings: Settings) -> MelSpec:
    """The mels that a table "preprocess" describes."""
    return MelSpec(
        sample_rate=settings["sample_rate"],
        n_fft=settings["n_fft"],
        hop_length=settings["hop_size"],
        win_length=settings["win_size"],
        n_mels=settings["n_mel"],
        f_min=float(settings["fmin"]),
        f_max=settings.optional_float("fmax"),
        magnitude_epsilon=1e-9,
    )


def _saved(folder: Path) -> list[Path]:
    """What accelerate wrote to a folder, or to one for each epoch below it."""
    return [path for name in _WEIGHTS for path in [*folder.glob(name), *folder.glob(f"*/{name}")]]


def _number(path: Path) -> int:
    """Which of several checkpoints is the latest: "400001.pt", "epoch-0012_step-..._loss-..."."""
    name = path.stem if path.suffix == ".pt" else path.parent.name
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else -1
