"""Importer of github.com/lifeiteng/vall-e: `best-valid-loss.pt` or any other `*.pt`, and `*.k2symbols`."""

from __future__ import annotations

from pathlib import Path

from allophone.errors import UserError
from allophone.foreign.files import as_state_dict, read_pickled
from allophone.foreign.settings import Settings
from allophone_valle.importers.checkpoint import ReferenceCheckpoint, write_checkpoint
from allophone_valle.importers.symbols import read_symbols

_SYMBOLS = "*.k2symbols"


def recognises(source: Path) -> bool:
    """Whether `source` is a `.pt` file next to a `*.k2symbols` file."""
    return source.suffix == ".pt" and source.is_file() and _symbols(source) is not None


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, which includes its settings, to a voice folder."""
    symbols = _symbols(source)
    if symbols is None:
        raise UserError(
            f"No {_SYMBOLS} next to {source}.",
            hint="Copy unique_text_tokens.k2symbols there from the folder of the tokenized data.",
        )
    content = read_pickled(source)
    checkpoint = ReferenceCheckpoint(
        name=source.resolve().parent.name,
        tensors=as_state_dict(content.get("model"), source),
        settings=Settings(path=source, content=content),
        symbols=read_symbols(symbols),
    )
    write_checkpoint(destination, checkpoint)


def _symbols(source: Path) -> Path | None:
    return next(iter(sorted(source.parent.glob(_SYMBOLS))), None)
