"""Importer of Amphion's FastSpeech 2 recipe: `args.json` and weights saved by accelerate.

The model, weight names and ARPAbet phones are those of the reference implementation. The recipe trains on
phones of the Montreal Forced Aligner whatever its phone extractor setting, so `symbols.dict` is not read.
Statistics of pitch and energy are stored with the prepared corpus; they are searched there and in the
experiment's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from allophone.errors import UserError
from allophone.foreign.amphion import find_weights, mel_spec, peek_arguments, read_arguments
from allophone.foreign.files import read_state_dict
from allophone.foreign.settings import Settings, read_json
from allophone_fastspeech2.importers.phones import text_config
from allophone_fastspeech2.importers.reference import (
    MAGNITUDE_EPSILON,
    Level,
    ReferenceCheckpoint,
    VarianceStatistics,
    write_checkpoint,
)


def recognises(source: Path) -> bool:
    """Whether `source` is the folder or a checkpoint of a FastSpeech 2 experiment."""
    return peek_arguments(source).get("model_type") == "FastSpeech2"


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest checkpoint of an experiment, to a voice folder."""
    arguments = read_arguments(source)
    speakers = _read_corpus_file(arguments, str(arguments.get("preprocess.spk2id", "spk2id.json")))
    checkpoint = ReferenceCheckpoint(
        name=arguments.path.parent.name,
        tensors=read_state_dict(find_weights(source), "model", bare=True),
        settings=arguments.table("model"),
        levels={name: _level(arguments, name) for name in ("pitch", "energy")},
        statistics={name: _variance_statistics(arguments, name) for name in ("pitch", "energy")},
        audio=mel_spec(arguments, magnitude_epsilon=MAGNITUDE_EPSILON),
        text=text_config("en"),
        speakers={} if speakers is None else speakers.content,
    )
    write_checkpoint(destination, checkpoint)


def _level(arguments: Settings, name: str) -> Level:
    return "frame" if arguments.get(f"preprocess.use_frame_{name}", False) else "phoneme"


def _variance_statistics(arguments: Settings, name: str) -> VarianceStatistics | None:
    """Statistics of the whole corpus, which determine the bins; None if they are not found."""
    key = "pitch_dir" if name == "pitch" else "energy_dir"
    if _level(arguments, name) == "phoneme":
        key = f"phone_{key}"
    folder = arguments.get(f"preprocess.{key}", None)
    statistics = (
        None if folder is None else _read_corpus_file(arguments, f"{folder}/statistics.json")
    )
    if statistics is None:
        return None
    corpus = _corpus(arguments)
    key = f"{corpus}_{corpus}"
    mean = statistics[f"{key}.voiced_positions.mean"]
    deviation = statistics[f"{key}.voiced_positions.std"]
    minimum = statistics[f"{key}.total_positions.min"]
    maximum = statistics[f"{key}.total_positions.max"]
    return VarianceStatistics(
        mean=mean,
        deviation=deviation,
        minimum=(minimum - mean) / deviation,
        maximum=(maximum - mean) / deviation,
    )


def _corpus(arguments: Settings) -> str:
    corpora: Any = arguments["dataset"]
    if not isinstance(corpora, list) or not corpora:
        raise UserError(
            f"{arguments.path}: 'dataset' must be a non-empty list of corpora, got {corpora!r}."
        )
    return str(corpora[0])


def _read_corpus_file(arguments: Settings, name: str) -> Settings | None:
    """Read a file of the prepared corpus, or its copy next to args.json; None if there is none."""
    found = (folder / name for folder in _corpus_folders(arguments) if (folder / name).is_file())
    path = next(found, None)
    return None if path is None else read_json(path)


def _corpus_folders(arguments: Settings) -> Iterator[Path]:
    experiment = arguments.path.parent
    corpus = _corpus(arguments)
    yield experiment
    yield experiment / corpus
    # The recipe runs in the folder that contains "ckpts/tts/NAME" and "data".
    for folder in (experiment, *experiment.parents[:3]):
        yield folder / arguments.get("preprocess.processed_dir", "data") / corpus
