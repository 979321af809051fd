"""Experiments of Amphion's FastSpeech 2 recipe: `args.json`, and weights as accelerate saves them.

Its model, its names and its phones of ARPAbet are the reference's. It lets several phone extractors be
named, but trains on phones of the Montreal Forced Aligner whichever it is, so no `symbols.dict` is read.
The statistics of pitch and energy are not in an experiment's folder but in that of the prepared corpus;
they are found where the recipe puts it, or in a copy in the experiment's folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.files import Settings, peek_json, read_json, read_module
from allophone_fastspeech2.importers.phones import text_config
from allophone_fastspeech2.importers.reference import (
    MAGNITUDE_EPSILON,
    Distribution,
    Level,
    ReferenceCheckpoint,
    write_checkpoint,
)

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def recognises(source: Path) -> bool:
    """Whether `source` belongs to an experiment that trained a FastSpeech 2."""
    return peek_json(_arguments(source)).get("model_type") == "FastSpeech2"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the voice folder of a checkpoint, or of the latest one of an experiment."""
    path = _arguments(source)
    if path is None:
        raise UserError(
            f"There is no args.json in {source} or above it.",
            hint="Copy it from the experiment that the checkpoint is of.",
        )
    arguments = read_json(path)
    speakers = _of_corpus(arguments, str(arguments.get("preprocess.spk2id", "spk2id.json")))
    imported = ReferenceCheckpoint(
        name=path.resolve().parent.name,
        tensors=read_module(_weights_file(source), "model", bare=True),
        settings=arguments.table("model"),
        levels={name: _level(arguments, name) for name in ("pitch", "energy")},
        distributions={name: _distribution(arguments, name) for name in ("pitch", "energy")},
        audio=MelSpec(
            sample_rate=arguments["preprocess.sample_rate"],
            n_fft=arguments["preprocess.n_fft"],
            hop_length=arguments["preprocess.hop_size"],
            win_length=arguments["preprocess.win_size"],
            n_mels=arguments["preprocess.n_mel"],
            f_min=float(arguments["preprocess.fmin"]),
            f_max=arguments.optional_float("preprocess.fmax"),
            magnitude_epsilon=MAGNITUDE_EPSILON,
        ),
        text=text_config("en"),
        speakers={} if speakers is None else speakers.content,
    )
    write_checkpoint(destination, imported)


def _arguments(source: Path) -> Path | None:
    """The file args.json of an experiment: in the folder itself or up to two above."""
    here = source.resolve()
    folders = ([here] if here.is_dir() else []) + list(here.parents[:2])
    return next((path for folder in folders if (path := folder / "args.json").is_file()), None)


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


def _level(arguments: Settings, name: str) -> Level:
    return "frame" if arguments.get(f"preprocess.use_frame_{name}", False) else "phoneme"


def _distribution(arguments: Settings, name: str) -> Distribution | None:
    """That of the whole corpus, by which the bins were laid."""
    key = "pitch_dir" if name == "pitch" else "energy_dir"
    if _level(arguments, name) == "phoneme":
        key = f"phone_{key}"
    folder = arguments.get(f"preprocess.{key}", None)
    statistics = None if folder is None else _of_corpus(arguments, f"{folder}/statistics.json")
    if statistics is None:
        return None
    corpus = _corpus(arguments)
    here = f"{corpus}_{corpus}"
    mean = statistics[f"{here}.voiced_positions.mean"]
    deviation = statistics[f"{here}.voiced_positions.std"]
    least = statistics[f"{here}.total_positions.min"]
    greatest = statistics[f"{here}.total_positions.max"]
    return Distribution(
        mean=mean,
        deviation=deviation,
        minimum=(least - mean) / deviation,
        maximum=(greatest - mean) / deviation,
    )


def _corpus(arguments: Settings) -> str:
    corpora: Any = arguments["dataset"]
    if not isinstance(corpora, list) or not corpora:
        raise UserError(f"{arguments.path}: 'dataset' must be a list of corpora.")
    return str(corpora[0])


def _of_corpus(arguments: Settings, name: str) -> Settings | None:
    """A file of the prepared corpus, or its copy beside args.json."""
    found = (place / name for place in _prepared(arguments) if (place / name).is_file())
    path = next(found, None)
    return None if path is None else read_json(path)


def _prepared(arguments: Settings) -> Iterator[Path]:
    experiment = arguments.path.resolve().parent
    corpus = _corpus(arguments)
    yield experiment
    yield experiment / corpus
    # The recipe is run in the folder that "ckpts/tts/NAME" and "data" are in.
    for folder in (experiment, *experiment.parents[:3]):
        yield folder / arguments.get("preprocess.processed_dir", "data") / corpus
