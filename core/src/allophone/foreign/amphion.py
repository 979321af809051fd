"""Reads Amphion experiments: `args.json`, `symbols.dict`, and weights in one of two layouts.

Older vocoders are saved as `NAME.pt`. All other models are saved with accelerate, in one folder per
checkpoint; `model.safetensors` or `pytorch_model.bin` there is the first of the trained models.
"""

from __future__ import annotations

import re
from pathlib import Path

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.settings import Settings, peek_json, read_json
from allophone.text.symbols import SymbolTable

PAD, BOS, EOS, EPSILON = "<pad>", "<bos>", "<eos>", "<eps>"
SPECIAL_SYMBOLS = (PAD, BOS, EOS, EPSILON)
"""Symbols in every symbol table that are not phones."""

_ARGUMENTS = "args.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def peek_arguments(source: Path) -> Settings:
    """Read `args.json` of an experiment, or return empty settings without one: for format detection."""
    return peek_json(_find_file(source, _ARGUMENTS))


def read_arguments(source: Path) -> Settings:
    """Read `args.json`, the arguments of an experiment. Its folder is the parent of the settings' path.

    source: an experiment folder, a checkpoint folder in it, or a weight file.
    Raises UserError if there is no `args.json`.
    """
    hint = "Copy it from the experiment that the checkpoint belongs to."
    return read_json(find_file(source, _ARGUMENTS, hint=hint))


def find_file(source: Path, name: str, *, hint: str) -> Path:
    """Find a file of an experiment: in the folder of `source` or the two levels above it.

    Raises UserError with `hint` if there is none.
    """
    path = _find_file(source, name)
    if path is None:
        raise UserError(f"There is no {name} in {source} or the two folders above it.", hint=hint)
    return path


def find_weights(source: Path) -> Path:
    """Find the weight file of a checkpoint, or of the latest one of an experiment.

    Raises UserError if there is none.
    """
    if source.is_file():
        return source
    folders = [source, *(source / name for name in ("checkpoint", "checkpoints"))]
    # Look for accelerate's files first: scaler.pt is the state of a gradient scaler, not weights.
    found = [path for folder in folders for path in [*_saved(folder), *folder.glob("*.pt")]]
    if not found:
        raise UserError(
            f"There is neither {' nor '.join(_WEIGHTS)} nor NAME.pt in {source}.",
            hint="Give an experiment folder (with a folder 'checkpoint'), a checkpoint folder or a file.",
        )
    return max(found, key=_progress)


def mel_spec(arguments: Settings, *, magnitude_epsilon: float = 1e-9) -> MelSpec:
    """Convert the table "preprocess" to a `MelSpec`.

    magnitude_epsilon: Amphion uses 1e-9 for mel spectrograms and 1e-6 for linear spectrograms.
    """
    settings = arguments.table("preprocess")
    return MelSpec(
        sample_rate=settings["sample_rate"],
        n_fft=settings["n_fft"],
        hop_length=settings["hop_size"],
        win_length=settings["win_size"],
        n_mels=settings["n_mel"],
        f_min=float(settings["fmin"]),
        f_max=settings.optional_float("fmax"),
        magnitude_epsilon=magnitude_epsilon,
    )


def read_symbols(path: Path) -> SymbolTable:
    """Read the symbol table from a file of lines `symbol number`, such as `symbols.dict` or a k2 table.

    The numbers in the file are not the ids: Amphion numbers the symbols in the order of their code points.
    Raises UserError if the file has another format.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The symbols {path} cannot be read: {error}") from error
    symbols = {EPSILON} | {fields[0] for fields in lines if fields}
    if any(len(fields) not in (0, 2) for fields in lines) or len(symbols) < 2:
        raise UserError(f"{path} is not a symbol table; expected lines of the form: symbol number")
    ordered = [PAD, BOS, EOS, *sorted(symbols)]
    return SymbolTable(ids={symbol: id for id, symbol in enumerate(ordered)}, bos=BOS, eos=EOS)


def _find_file(source: Path, name: str) -> Path | None:
    # Resolve the folder, which may be given as ".." or "."; not the file, which may be a symlink into a cache.
    folder = (source if source.is_dir() else source.parent).resolve()
    candidates = (parent / name for parent in (folder, *folder.parents[:2]))
    return next((path for path in candidates if path.is_file()), None)


def _saved(folder: Path) -> list[Path]:
    """Return the weight files that accelerate wrote to a folder or to its subfolders."""
    return [path for name in _WEIGHTS for path in [*folder.glob(name), *folder.glob(f"*/{name}")]]


def _progress(path: Path) -> list[int]:
    """Sort key of a checkpoint: the numbers in its name, as in "epoch-0012_step-0000300_loss-..."."""
    name = path.stem if path.suffix == ".pt" else path.parent.name
    return [int(digits) for digits in re.findall(r"\d+", name)]
