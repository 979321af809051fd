"""Experiments of Amphion: `args.json`, `symbols.dict`, and weights in one of two layouts.

Old vocoders are `NAME.pt`; everything else is in folders as accelerate writes them, one for a checkpoint,
where `model.safetensors` or `pytorch_model.bin` is the first of the models that were trained.
"""

from __future__ import annotations

import re
from pathlib import Path

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.settings import Settings, peek_json, read_json
from allophone.text.symbols import SymbolTable

PAD, BOS, EOS, NOTHING = "<pad>", "<bos>", "<eos>", "<eps>"
SPECIAL_SYMBOLS = (PAD, BOS, EOS, NOTHING)
"""What is in every table of symbols and is no phone."""

_ARGUMENTS = "args.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def peek_arguments(source: Path) -> Settings:
    """What an experiment was run with, but empty where nothing says so: to recognise a format by."""
    return peek_json(_find_file(source, _ARGUMENTS))


def read_arguments(source: Path) -> Settings:
    """What an experiment was run with; its folder is that of the file.

    source: an experiment, one of its checkpoints, or a file with weights.
    Raises UserError where nothing says so.
    """
    hint = "Copy it from the experiment that the checkpoint is of."
    return read_json(find_file(source, _ARGUMENTS, hint=hint))


def find_file(source: Path, name: str, *, hint: str) -> Path:
    """A file of an experiment: in the folder itself, or up to two above the folder of a checkpoint.

    Raises UserError with `hint` where there is none.
    """
    path = _find_file(source, name)
    if path is None:
        raise UserError(f"There is no {name} in {source} or above it.", hint=hint)
    return path


def find_weights(source: Path) -> Path:
    """The file with the weights of a checkpoint, or of the latest one; UserError where there is none."""
    if source.is_file():
        return source
    folders = [source, *(source / name for name in ("checkpoint", "checkpoints"))]
    # Accelerate's come first, so that the state of a gradient scaler, scaler.pt, is not taken for weights.
    found = [path for folder in folders for path in [*_saved(folder), *folder.glob("*.pt")]]
    if not found:
        raise UserError(
            f"There is neither {' nor '.join(_WEIGHTS)} nor NAME.pt in {source}.",
            hint="An experiment has its checkpoints in the folder 'checkpoint'.",
        )
    return max(found, key=_progress)


def audio_of(arguments: Settings, *, magnitude_epsilon: float = 1e-9) -> MelSpec:
    """The mels that the table "preprocess" describes.

    magnitude_epsilon: as its mels have it; its linear spectrograms have 1e-6.
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
    """The table of a file of lines `symbol number`, such as `symbols.dict` or one of k2's.

    The numbers in it are not the ids: those are given to the symbols in the order of their code points.
    Raises UserError where it is no such file.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The symbols {path} cannot be read: {error}") from error
    symbols = {NOTHING} | {fields[0] for fields in lines if fields}
    if any(len(fields) not in (0, 2) for fields in lines) or len(symbols) < 2:
        raise UserError(f"{path} is no list of symbols, with lines of a symbol and its number.")
    ordered = [PAD, BOS, EOS, *sorted(symbols)]
    return SymbolTable(ids={symbol: id for id, symbol in enumerate(ordered)}, bos=BOS, eos=EOS)


def _find_file(source: Path, name: str) -> Path | None:
    # Files may be links into a store that has nothing beside them; folders may be given as "." or "..".
    folder = (source if source.is_dir() else source.parent).resolve()
    places = (place / name for place in (folder, *folder.parents[:2]))
    return next((path for path in places if path.is_file()), None)


def _saved(folder: Path) -> list[Path]:
    """What accelerate wrote to a folder, or to one for each checkpoint below it."""
    return [path for name in _WEIGHTS for path in [*folder.glob(name), *folder.glob(f"*/{name}")]]


def _progress(path: Path) -> list[int]:
    """What tells the latest of checkpoints: of "epoch-0012_step-0000300_loss-..." 12, then 300."""
    name = path.stem if path.suffix == ".pt" else path.parent.name
    return [int(digits) for digits in re.findall(r"\d+", name)]
