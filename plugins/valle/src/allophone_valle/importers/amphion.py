"""Experiments of Amphion's first VALL-E recipe: `args.json`, `symbols.dict`, and weights of accelerate's."""

from __future__ import annotations

import re
from pathlib import Path

from allophone.errors import UserError
from allophone.foreign.files import peek_json, read_json, read_module
from allophone_valle.importers.checkpoint import ReferenceCheckpoint, write_checkpoint
from allophone_valle.importers.symbols import read_symbols

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_PHONES = "espeak"


def recognises(source: Path) -> bool:
    """Whether `source` belongs to an experiment that trained a VALL-E."""
    return peek_json(_found(source, "args.json")).get("model_type") == "VALLE"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the voice folder of a checkpoint, or of the latest one of an experiment."""
    path = _found(source, "args.json")
    if path is None:
        raise UserError(
            f"There is no args.json in {source} or above it.",
            hint="Copy it from the experiment that the checkpoint is of.",
        )
    arguments = read_json(path)
    phones = arguments["preprocess.phone_extractor"]
    if phones != _PHONES:
        raise UserError(
            f"{path}: the model reads phones of '{phones}', and only {_PHONES}'s are known."
        )
    listed = str(arguments.get("preprocess.symbols_dict", "symbols.dict"))
    symbols = _found(source, listed)
    if symbols is None:
        raise UserError(
            f"There is no {listed} in {source} or above it: nobody could tell what its ids stand for.",
            hint="Copy it from the experiment, or from the folder of its prepared data.",
        )
    checkpoint = ReferenceCheckpoint(
        name=path.resolve().parent.name,
        tensors=read_module(_weights_file(source), "model", bare=True),
        settings=arguments.table("model"),
        symbols=read_symbols(symbols),
    )
    write_checkpoint(destination, checkpoint)


def _found(source: Path, name: str) -> Path | None:
    """A file of an experiment: in the folder itself or up to two above."""
    here = source.resolve()
    folders = ([here] if here.is_dir() else []) + list(here.parents[:2])
    return next((path for folder in folders if (path := folder / name).is_file()), None)


def _weights_file(source: Path) -> Path:
    if source.is_file():
        return source
    folders = [source, *source.glob("checkpoint/*")]
    found = [path for folder in folders for name in _WEIGHTS if (path := folder / name).is_file()]
    if not found:
        raise UserError(f"There is neither {' nor '.join(_WEIGHTS)} in {source}.")
    return max(found, key=_number)


def _number(path: Path) -> int:
    """Which of several checkpoints is the latest: "epoch-0012_step-0000300_loss-1.0"."""
    digits = re.search(r"\d+", path.parent.name)
    return int(digits[0]) if digits else -1
