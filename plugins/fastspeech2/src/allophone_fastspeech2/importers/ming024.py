"""Importer of the reference implementation: `<step>.pth.tar` with its settings and statistics.

These are `preprocess.yaml`, `model.yaml`, `stats.json` and, for several speakers, `speakers.json`. They are
searched next to the checkpoint and where the repository has them: in config/NAME/ and
preprocessed_data/NAME/ for output/ckpt/NAME/<step>.pth.tar.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError
from allophone.foreign.files import read_state_dict
from allophone.foreign.settings import Settings, read_json, read_yaml
from allophone_fastspeech2.importers.phones import text_config
from allophone_fastspeech2.importers.reference import (
    MAGNITUDE_EPSILON,
    Level,
    ReferenceCheckpoint,
    VarianceStatistics,
    write_checkpoint,
)

SUFFIX = ".pth.tar"
_LEVELS: Mapping[str, Level] = {"phoneme_level": "phoneme", "frame_level": "frame"}


def recognises(source: Path) -> bool:
    """Whether `source` is a checkpoint with its settings, or a folder of such checkpoints."""
    checkpoint = _latest(source) if source.is_dir() else source
    return (
        checkpoint is not None
        and checkpoint.name.endswith(SUFFIX)
        and all(_config(checkpoint, name) for name in ("preprocess.yaml", "model.yaml"))
    )


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a checkpoint, or the latest checkpoint in a folder, to a voice folder."""
    checkpoint = _latest(source) if source.is_dir() else source
    if checkpoint is None:
        raise UserError(f"No checkpoint <step>{SUFFIX} in {source}.")
    preprocess = _required(checkpoint, "preprocess.yaml")
    model = _required(checkpoint, "model.yaml")
    stats = _read_corpus_file(checkpoint, preprocess, "stats.json")
    speakers = _read_corpus_file(checkpoint, preprocess, "speakers.json")
    table = "preprocessing"
    imported = ReferenceCheckpoint(
        name=f"{preprocess['dataset']}-{checkpoint.name.removesuffix(SUFFIX)}",
        tensors=read_state_dict(checkpoint, "model", bare=True),
        settings=model,
        levels={name: _level(preprocess, name) for name in ("pitch", "energy")},
        statistics={name: _variance_statistics(stats, name) for name in ("pitch", "energy")},
        audio=MelSpec(
            sample_rate=preprocess[f"{table}.audio.sampling_rate"],
            n_fft=preprocess[f"{table}.stft.filter_length"],
            hop_length=preprocess[f"{table}.stft.hop_length"],
            win_length=preprocess[f"{table}.stft.win_length"],
            n_mels=preprocess[f"{table}.mel.n_mel_channels"],
            f_min=float(preprocess[f"{table}.mel.mel_fmin"]),
            f_max=preprocess.optional_float(f"{table}.mel.mel_fmax"),
            magnitude_epsilon=MAGNITUDE_EPSILON,
        ),
        text=text_config(preprocess[f"{table}.text.language"]),
        speakers={} if speakers is None else speakers.content,
    )
    write_checkpoint(destination, imported)


def _latest(folder: Path) -> Path | None:
    def step(path: Path) -> int:
        name = path.name.removesuffix(SUFFIX)
        return int(name) if name.isdigit() else -1

    return max(folder.glob(f"*{SUFFIX}"), key=step, default=None)


def _config(checkpoint: Path, name: str) -> Path | None:
    here = checkpoint.resolve().parent
    return _first(here / name, _repository(here) / "config" / here.name / name)


def _repository(folder: Path) -> Path:
    """Root of the repository, for a checkpoint folder output/ckpt/NAME in it."""
    return (folder / "../../..").resolve()


def _first(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _required(checkpoint: Path, name: str) -> Settings:
    path = _config(checkpoint, name)
    if path is None:
        raise UserError(
            f"No {name} next to {checkpoint}.",
            hint="Copy it there from the folder 'config' of the repository that trained the model.",
        )
    return read_yaml(path)


def _read_corpus_file(checkpoint: Path, preprocess: Settings, name: str) -> Settings | None:
    here = checkpoint.resolve().parent
    prepared = _repository(here) / preprocess.get("path.preprocessed_path", "")
    path = _first(here / name, prepared / name)
    return None if path is None else read_json(path)


def _level(preprocess: Settings, name: str) -> Level:
    given = preprocess[f"preprocessing.{name}.feature"]
    if given not in _LEVELS:
        raise UserError(
            f"{preprocess.path}: preprocessing.{name}.feature must be one of "
            f"{', '.join(_LEVELS)}, got {given!r}."
        )
    return _LEVELS[given]


def _variance_statistics(statistics: Settings | None, name: str) -> VarianceStatistics | None:
    if statistics is None:
        return None
    numbers = statistics[name]
    if not isinstance(numbers, list) or len(numbers) != 4:
        raise UserError(
            f"{statistics.path}: '{name}' must be [minimum, maximum, mean, deviation], got {numbers!r}."
        )
    minimum, maximum, mean, deviation = numbers
    return VarianceStatistics(mean=mean, deviation=deviation, minimum=minimum, maximum=maximum)
