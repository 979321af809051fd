"""Where a voice lies: a voice folder, a training run, one of its checkpoints, or an installed voice."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from allophone.config import read_toml, structure
from allophone.data.vocabulary import read_vocabulary
from allophone.entries import VoiceEntry
from allophone.errors import UserError, near_miss
from allophone.registry import Registry
from allophone.run_folder import (
    CHECKPOINTS,
    CONFIG,
    VOCABULARY,
    Checkpoint,
    find_checkpoint,
    read_provenance,
)
from allophone.synthesis.folder import (
    VOICE,
    WEIGHTS,
    StoredVoice,
    VoiceDescription,
    read_voice,
)
from allophone.weights import below, read_weights


@frozen(kw_only=True)
class VoicePlace:
    """A voice that was found: its folder, or the checkpoint of a run that speaks for it."""

    folder: Path
    checkpoint: Checkpoint | None = None

    @property
    def weights(self) -> Path:
        """The file that decides how it sounds."""
        return self.checkpoint.speaking_weights if self.checkpoint else self.folder / WEIGHTS

    def read(self, registry: Registry) -> StoredVoice:
        """The voice as it lies on disk; UserError and PluginError for what does not fit or is missing."""
        if self.checkpoint:
            return _read_checkpoint(self.folder, self.checkpoint, registry)
        return read_voice(self.folder, registry)


def find_voice(place: str | Path, registry: Registry) -> VoicePlace:
    """Find a voice by the path of its folder, run or checkpoint, or by the name of an installed one.

    Raises UserError, with near misses, where there is none.
    """
    path = Path(place).expanduser()
    if (path / VOICE).is_file():
        return VoicePlace(folder=path)
    if is_run(path):
        checkpoint = find_checkpoint(path)
        return VoicePlace(folder=path, checkpoint=checkpoint)
    voices = registry.entries("voices")
    if str(place) in voices:
        entry: VoiceEntry = registry.find("voices", str(place))
        return VoicePlace(folder=Path(registry.load("voices", entry.name, "locate")()))
    if path.exists():
        raise UserError(
            f"{place} is no voice: it holds neither {VOICE} nor the checkpoints of a run.",
            hint="Checkpoints of other projects become voices with: allophone import",
        )
    raise UserError(
        f"There is no voice '{place}', neither a folder nor an installed voice.",
        hint=near_miss(str(place), voices) or "No voices are installed.",
    )


def is_run(path: Path) -> bool:
    """Whether the folder of a training run lies there, or one of its checkpoints."""
    return (path / CONFIG).is_file() and (
        (path / CHECKPOINTS).is_dir() or path.parent.name == CHECKPOINTS
    )


def _read_checkpoint(place: Path, checkpoint: Checkpoint, registry: Registry) -> StoredVoice:
    provenance = read_provenance(checkpoint)
    _, trainer = (
        registry.find(
            f"{table}s", provenance[table]["type"], distribution=provenance[table]["distribution"]
        )
        for table in ("model", "trainer")
    )
    config = checkpoint.path / CONFIG
    plain = read_toml(config)
    run = place if place != checkpoint.path else place.parent.parent
    return StoredVoice(
        description=structure(
            VoiceDescription,
            {
                "about": {"name": run.resolve().name, "licence": "not stated"},
                **{table: plain[table] for table in ("model", "audio", "text")},
            },
            where=str(config),
            registry=registry,
        ),
        vocabulary=read_vocabulary(checkpoint.path / VOCABULARY),
        weights=below(read_weights(checkpoint.speaking_weights), trainer.speaks),
    )
