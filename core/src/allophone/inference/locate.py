"""Locates voices and vocoders: their folders, training runs and checkpoints, and installed voices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from attrs import frozen
from torch import Tensor

from allophone.config import read_toml, structure
from allophone.data.vocabulary import read_vocabulary
from allophone.entries import TrainerEntry
from allophone.errors import UserError
from allophone.files.run_folder import (
    CONFIG,
    VOCABULARY,
    Checkpoint,
    find_checkpoint,
    is_run,
    origins,
)
from allophone.inference.folder import (
    VOCODER,
    WEIGHTS,
    StoredVocoder,
    StoredVoice,
    VocoderDescription,
    read_vocoder,
    read_voice,
)
from allophone.registry import Registry
from allophone.synthesis.description import VOICE, VoiceDescription
from allophone.weights.files import read_weights, strip_prefix


@frozen(kw_only=True)
class Source:
    """A folder, or a checkpoint of a run."""

    folder: Path
    checkpoint: Checkpoint | None = None

    @property
    def weights(self) -> Path:
        """The file of the weights used for inference."""
        return self.checkpoint.inference_weights if self.checkpoint else self.folder / WEIGHTS


@frozen(kw_only=True)
class VoiceSource(Source):
    """A voice that was located.

    inference_module: for a run, the module of its objective that is used for inference; None for a voice
        folder.
    """

    inference_module: str | None = None

    def read(self, registry: Registry) -> StoredVoice:
        """Read the voice; UserError for invalid files, PluginError for missing plugins."""
        if self.checkpoint is None:
            return read_voice(self.folder, registry)
        trained = _read_trained(self.folder, self.checkpoint, "model", registry)
        return StoredVoice(
            description=structure(
                VoiceDescription,
                {**trained.description, "text": trained.config["text"]},
                where=str(self.checkpoint.path / CONFIG),
                registry=registry,
            ),
            vocabulary=read_vocabulary(self.checkpoint.path / VOCABULARY),
            weights=trained.weights,
        )


class VocoderSource(Source):
    """A trained vocoder that was located."""

    def read(self, registry: Registry) -> StoredVocoder:
        """Read the vocoder; raises the same errors as `VoiceSource.read`."""
        if self.checkpoint is None:
            return read_vocoder(self.folder, registry)
        trained = _read_trained(self.folder, self.checkpoint, "vocoder", registry)
        return StoredVocoder(
            description=structure(
                VocoderDescription,
                trained.description,
                where=str(self.checkpoint.path / CONFIG),
                registry=registry,
            ),
            weights=trained.weights,
        )


def find_voice(place: str | Path, registry: Registry) -> VoiceSource:
    """Locate a voice: a voice folder, a run or a checkpoint by path, or an installed voice by name.

    Raises UserError, with suggestions, if there is none.
    """
    path = voice_path(place, registry)
    if (path / VOICE).is_file():
        return VoiceSource(folder=path)
    if is_run(path):
        checkpoint = find_checkpoint(path)
        trainer = _origins(checkpoint, registry)["trainer"]
        return VoiceSource(
            folder=path, checkpoint=checkpoint, inference_module=trainer.inference_module
        )
    raise UserError(
        f"{place} is not a voice folder or a run: it contains neither {VOICE} nor checkpoints.",
        hint="Convert another project's checkpoint with: allophone import",
    )


def voice_path(place: str | Path, registry: Registry) -> Path:
    """Return `place` if it exists, or the path of the installed voice of that name; UserError for neither."""
    path = Path(place).expanduser()
    if (path / VOICE).is_file() or is_run(path):
        return path
    voices = registry.entries("voices")
    if str(place) in voices:
        return Path(registry.load("voices", str(place), "locate")())
    if path.exists():
        return path
    raise registry.missing(
        "voices",
        str(place),
        message=f"There is no voice '{place}': it is neither a path nor an installed voice.",
    )


def find_vocoder(place: str | Path, registry: Registry) -> VocoderSource:
    """Locate a trained vocoder by the path of its folder, run or checkpoint.

    Raises UserError if there is none, with suggestions among the vocoders that need no training.
    """
    path = Path(place).expanduser()
    if (path / VOCODER).is_file():
        return VocoderSource(folder=path)
    if is_run(path):
        return VocoderSource(folder=path, checkpoint=find_checkpoint(path))
    if path.exists():
        raise UserError(
            f"{place} is not a vocoder folder or a run: it contains neither {VOCODER} nor checkpoints.",
            hint="Convert another project's checkpoint with: allophone import",
        )
    if str(place) in registry.entries("vocoders"):
        raise UserError(
            f"'{place}' is a family of vocoders, not a trained vocoder.",
            hint="Give a vocoder folder, a run or a checkpoint.",
        )
    raise registry.missing(
        "vocoders",
        str(place),
        message=f"There is no vocoder '{place}': it is neither a path nor a vocoder that needs no training.",
        known=untrained_vocoders(registry),
    )


def untrained_vocoders(registry: Registry) -> list[str]:
    """The names of the vocoders that need no training."""
    return [name for name, entry in registry.entries("vocoders").items() if not entry.needs_weights]


def trains_vocoder(path: Path) -> bool:
    """Whether the run at `path` trains a vocoder."""
    return any(origin.table == "vocoder" for origin in origins(find_checkpoint(path)))


@frozen(kw_only=True)
class _Trained:
    """A voice or vocoder read from a checkpoint, its tables as plain data."""

    description: dict[str, Any]
    config: dict[str, Any]
    weights: dict[str, Tensor]


def _read_trained(
    place: Path, checkpoint: Checkpoint, table: Literal["model", "vocoder"], registry: Registry
) -> _Trained:
    """Read a checkpoint; UserError if it trained a vocoder and not a voice, or the reverse."""
    entries = _origins(checkpoint, registry)
    if table not in entries:
        is_voice = "model" in entries
        raise UserError(
            f"{place} trained a {'voice' if is_voice else 'vocoder'}, not a "
            f"{'vocoder' if is_voice else 'voice'}.",
            hint="Use --voice for voices and --vocoder for vocoders.",
        )
    trainer: TrainerEntry = entries["trainer"]
    config = read_toml(checkpoint.path / CONFIG)
    run = place if place != checkpoint.path else place.parent.parent
    return _Trained(
        description={
            "about": {"name": run.resolve().name, "licence": "not stated"},
            table: config[table],
            "audio": config["audio"],
        },
        config=config,
        weights=strip_prefix(read_weights(checkpoint.inference_weights), trainer.inference_module),
    )


def _origins(checkpoint: Checkpoint, registry: Registry) -> dict[str, Any]:
    """Look up the plugin entries that a checkpoint needs, by table; PluginError if one is missing."""
    return {
        origin.table: registry.find(origin.kind, origin.name, distribution=origin.distribution)
        for origin in origins(checkpoint)
    }
