"""Where a voice or a vocoder lies: a folder of its own, a training run, or one of its checkpoints.

A voice may also be installed, with a name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from attrs import frozen
from torch import Tensor

from allophone.config import read_toml, structure
from allophone.data.vocabulary import read_vocabulary
from allophone.entries import TrainerEntry
from allophone.errors import UserError
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
from allophone.run_folder import (
    CONFIG,
    VOCABULARY,
    Checkpoint,
    find_checkpoint,
    is_run,
    origins,
)
from allophone.synthesis.description import VOICE, VoiceDescription
from allophone.weights import read_weights, strip_prefix


@frozen(kw_only=True)
class Source:
    """What was found: a folder, or the checkpoint of a run."""

    folder: Path
    checkpoint: Checkpoint | None = None

    @property
    def weights(self) -> Path:
        """The file that decides how it sounds."""
        return self.checkpoint.speaking_weights if self.checkpoint else self.folder / WEIGHTS


@frozen(kw_only=True)
class VoiceSource(Source):
    """A voice that was found.

    inference_module: of a run, the module of its objective that was trained to speak; None for a voice folder.
    """

    inference_module: str | None = None

    def read(self, registry: Registry) -> StoredVoice:
        """The voice as it lies on disk; UserError and PluginError for what does not fit or is missing."""
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
    """A trained vocoder that was found."""

    def read(self, registry: Registry) -> StoredVocoder:
        """The vocoder as it lies on disk; errors as those of `VoiceSource.read`."""
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
    """The voice folder, run or checkpoint at a path, or of an installed voice.

    Raises UserError, with near misses, where there is none.
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
        f"{place} is not a voice folder or a run: it holds neither {VOICE} nor checkpoints.",
        hint="Convert another project's checkpoint with: allophone import",
    )


def voice_path(place: str | Path, registry: Registry) -> Path:
    """Where a voice's files lie: a path, or what an installed voice locates; UserError where neither is."""
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
        message=f"There is no voice '{place}': neither a path nor an installed voice.",
    )


def find_vocoder(place: str | Path, registry: Registry) -> VocoderSource:
    """Find a trained vocoder by the path of its folder, run or checkpoint.

    Raises UserError where there is none, with the names of the vocoders that need no training.
    """
    path = Path(place).expanduser()
    if (path / VOCODER).is_file():
        return VocoderSource(folder=path)
    if is_run(path):
        return VocoderSource(folder=path, checkpoint=find_checkpoint(path))
    if path.exists():
        raise UserError(
            f"{place} is no vocoder: it holds neither {VOCODER} nor the checkpoints of a run.",
            hint="Checkpoints of other projects become vocoders with: allophone import",
        )
    if str(place) in registry.entries("vocoders"):
        raise UserError(
            f"'{place}' is a family of vocoders, each of which has weights of its own.",
            hint="Give the folder of a trained one, or a run or checkpoint that trained it.",
        )
    raise registry.missing(
        "vocoders",
        str(place),
        message=f"There is no vocoder '{place}': neither a folder nor one that needs no training.",
        known=untrained_vocoders(registry),
    )


def untrained_vocoders(registry: Registry) -> list[str]:
    """The names of the vocoders that need no training."""
    return [name for name, entry in registry.entries("vocoders").items() if not entry.needs_weights]


def trains_vocoder(path: Path) -> bool:
    """Whether what the run at `path` trains is a vocoder."""
    return any(origin.table == "vocoder" for origin in origins(find_checkpoint(path)))


@frozen(kw_only=True)
class _Trained:
    """What a checkpoint holds of a voice or a vocoder, its tables still plain data."""

    description: dict[str, Any]
    config: dict[str, Any]
    weights: dict[str, Tensor]


def _read_trained(
    place: Path, checkpoint: Checkpoint, table: Literal["model", "vocoder"], registry: Registry
) -> _Trained:
    """Read a checkpoint; UserError where it trains the other of the two."""
    entries = _origins(checkpoint, registry)
    if table not in entries:
        is_voice = "model" in entries
        raise UserError(
            f"{place} has trained a {'voice' if is_voice else 'vocoder'}, not a "
            f"{'vocoder' if is_voice else 'voice'}.",
            hint="Voices are given with --voice, vocoders with --vocoder.",
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
        weights=strip_prefix(read_weights(checkpoint.speaking_weights), trainer.inference_module),
    )


def _origins(checkpoint: Checkpoint, registry: Registry) -> dict[str, Any]:
    """The entries that a checkpoint needs to be read, by table; PluginError for one that is missing."""
    return {
        origin.table: registry.find(origin.kind, origin.name, distribution=origin.distribution)
        for origin in origins(checkpoint)
    }
