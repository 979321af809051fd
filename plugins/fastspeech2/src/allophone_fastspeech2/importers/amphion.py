"""Experiments of Amphion's FastSpeech 2 recipe: `args.json`, and weights as accelerate saves them.

Its model, its names and its phones of ARPAbet are the reference's. It lets several phone extractors be
named, but trains on phones of the Montreal Forced Aligner whichever it is, so no `symbols.dict` is read.
The statistics of pitch and energy are not in an experiment's folder but in that of the prepared corpus;
they are found where the recipe puts it, or in a copy in the experiment's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allophone.errors import UserError
from allophone.foreign.amphion import audio_of, find_weights, peek_arguments, read_arguments
from allophone.foreign.files import read_module
from allophone.foreign.settings import Settings, read_json
from allophone_fastspeech2.importers.phones import text_config
from allophone_fastspeech2.importers.reference import (
    MAGNITUDE_EPSILON,
    Distribution,
    Level,
    ReferenceCheckpoint,
    write_checkpoint,
)


def recognises(source: Path) -> bool:
    """Whether `source` belongs to an experiment that trained a FastSpeech 2."""
    return peek_arguments(source).get("model_type") == "FastSpeech2"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the voice folder of a checkpoint, or of the latest one of an experiment."""
    arguments = read_arguments(source)
    speakers = _of_corpus(arguments, str(arguments.get("preprocess.spk2id", "spk2id.json")))
    imported = ReferenceCheckpoint(
        name=arguments.path.parent.name,
        tensors=read_module(find_weights(source), "model", bare=True),
        settings=arguments.table("model"),
        levels={name: _level(arguments, name) for name in ("pitch", "energy")},
        distributions={name: _distribution(arguments, name) for name in ("pitch", "energy")},
        audio=audio_of(arguments, magnitude_epsilon=MAGNITUDE_EPSILON),
        text=text_config("en"),
        speakers={} if speakers is None else speakers.content,
    )
    write_checkpoint(destination, imported)


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
    experiment = arguments.path.parent
    corpus = _corpus(arguments)
    yield experiment
    yield experiment / corpus
    # The recipe is run in the folder that "ckpts/tts/NAME" and "data" are in.
    for folder in (experiment, *experiment.parents[:3]):
        yield folder / arguments.get("preprocess.processed_dir", "data") / corpus
