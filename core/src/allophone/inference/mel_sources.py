"""The inputs of `allophone vocode`: recordings and mel files. M mel bands, F frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor

from allophone.audio.files import read_audio
from allophone.audio.mel_files import SUFFIX, read_mel
from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone.synthesis.ledger import digest

RECORDINGS = frozenset(
    {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".sln16", ".g722"}
)
"""The extensions of recordings."""


@frozen(kw_only=True, eq=False)
class SourceMel:
    """A mel [M, F] float32.

    notes: the conversions applied while reading, as in `allophone.audio.files.Audio`.
    """

    mel: Tensor
    notes: tuple[str, ...] = ()


@frozen(kw_only=True)
class Recording:
    """A recording, or the part from `start` to `end` in seconds; resampled to the rate of the MelSpec.

    id: the name of the output file without extension.
    """

    id: str
    path: Path
    start: float | None = field(default=None)
    end: float | None = field(default=None)

    def inputs(self) -> dict[str, Any]:
        """Plain data that decide the mel, beside its MelSpec."""
        return {**_content(self.path), "start": self.start, "end": self.end}

    def read(self, audio: MelSpec) -> SourceMel:
        """Its mel; UserError for what cannot be read."""
        recording = read_audio(
            self.path, sample_rate=audio.sample_rate, start=self.start, end=self.end
        )
        mel = mel_spectrogram(torch.from_numpy(recording.samples)[None], audio)[0]
        return SourceMel(mel=mel, notes=recording.notes)


@frozen(kw_only=True)
class MelFile:
    """A mel in a `.npy` file; `id` is the name of the output file without extension."""

    id: str
    path: Path

    def inputs(self) -> dict[str, Any]:
        """As those of a `Recording`."""
        return _content(self.path)

    def read(self, audio: MelSpec) -> SourceMel:
        """The mel; UserError for what cannot be read, or is no mel of `audio`."""
        return SourceMel(mel=torch.from_numpy(read_mel(self.path, audio)))


MelSource = Recording | MelFile
"""A source of a mel spectrogram."""


def recordings_of(utterances: Iterable[Utterance]) -> tuple[Recording, ...]:
    """Make a source of each utterance's recording."""
    return tuple(
        Recording(id=one.id, path=Path(one.audio), start=one.start, end=one.end)
        for one in utterances
    )


def recordings_in(folder: Path) -> tuple[Recording, ...]:
    """List the recordings in a folder, not in its subfolders; UserError if there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in RECORDINGS)
    if not paths:
        raise UserError(
            f"There are no recordings in {folder}.",
            hint=f"Supported extensions: {', '.join(sorted(RECORDINGS))}. Subfolders are not searched.",
        )
    recordings = tuple(Recording(id=path.stem, path=path) for path in paths)
    _check_unique_ids(recordings)
    return recordings


def folder_of_mels(folder: Path) -> Path:
    """Return the folder of mels in the folder of all features of a corpus, or a folder of mels itself.

    Several programs write the features of a corpus to one folder each: `mels/<id>.npy`, `pitches/<id>.npy`.
    """
    inner = folder / "mels"
    return inner if inner.is_dir() and not any(folder.glob(f"*{SUFFIX}")) else folder


def mels_in(folder: Path) -> tuple[MelFile, ...]:
    """List the mel files in a folder; UserError if there are none."""
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise UserError(
            f"There are no mels in {folder}.",
            hint=f"Expected NumPy files, <id>{SUFFIX}, one per utterance.",
        )
    return tuple(MelFile(id=path.stem, path=path) for path in paths)


def _content(path: Path) -> dict[str, Any]:
    # A missing file is reported when it is read.
    return {"digest": digest(path) if path.is_file() else None}


def _check_unique_ids(recordings: Sequence[Recording]) -> None:
    seen: dict[str, Path] = {}
    for recording in recordings:
        other = seen.setdefault(recording.id, recording.path)
        if other != recording.path:
            raise UserError(
                f"{other} and {recording.path} would both be written to {recording.id}.wav.",
                hint="Rename one of them, or move it to another folder.",
            )
