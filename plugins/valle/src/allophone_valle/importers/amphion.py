"""Importer of Amphion's first VALL-E recipe: `args.json`, `symbols.dict` and weights saved by accelerate."""

from __future__ import annotations

from pathlib import Path

from allophone.errors import UserError
from allophone.foreign.amphion import find_file, find_weights, peek_arguments, read_arguments
from allophone.foreign.files import read_state_dict
from allophone_valle.importers.checkpoint import ReferenceCheckpoint, write_checkpoint
from allophone_valle.importers.symbols import read_symbols

_PHONES = "espeak"


def recognises(source: Path) -> bool:
    """Whether `source` is the folder or a checkpoint of a VALL-E experiment."""
    return peek_arguments(source).get("model_type") == "VALLE"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest checkpoint of an experiment, to a voice folder."""
    arguments = read_arguments(source)
    phones = arguments["preprocess.phone_extractor"]
    if phones != _PHONES:
        raise UserError(
            f"{arguments.path}: phone_extractor is '{phones}', but only '{_PHONES}' is supported."
        )
    listed = str(arguments.get("preprocess.symbols_dict", "symbols.dict"))
    hint = "Copy it from the experiment or from the folder of its prepared data."
    checkpoint = ReferenceCheckpoint(
        name=arguments.path.parent.name,
        tensors=read_state_dict(find_weights(source), "model", bare=True),
        settings=arguments.table("model"),
        symbols=read_symbols(find_file(source, listed, hint=hint)),
    )
    write_checkpoint(destination, checkpoint)
