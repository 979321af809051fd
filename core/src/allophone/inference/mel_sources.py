"""What `allophone vocode` makes heard: recordings, which are analysed, and mels that are there already.

M mels, F frames.
"""

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
"""The endings of files that are taken for recordings."""


@frozen(kw_only=True, eq=False)
class SourceMel:
    """A mel [M, F] float32, and what was done to get it, in words: "resampled from 8000 to ..."."""

    mel: Tensor
    notes: tuple[str, ...] = ()


@frozen(kw_only=True)
class Recording:
    """A recording, or a part of it, in seconds; it is resampled to the rate of the MelSpec.

    id: names the file that is made.
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
    """A mel in a file; `id` names the file that is made."""

    id: str
    path: Path

    def inputs(self) -> dict[str, Any]:
        """As those of a `Recording`."""
        return _content(self.path)

    def read(self, audio: MelSpec) -> SourceMel:
        """The mel; UserError for what cannot be read, or is no mel of `audio`."""
        return SourceMel(mel=torch.from_numpy(read_mel(self.path, audio)))


MelSource = Recording | MelFile
"""What a mel can be had of."""


def recordings_of(utterances: Iterable[Utterance]) -> tuple[Recording, ...]:
    """The recordings of some utterances of a manifest."""
    return tuple(
        Recording(id=one.id, path=Path(one.audio), start=one.start, end=one.end)
        for one in utterances
    )


def recordings_in(folder: Path) -> tuple[Recording, ...]:
    """The recordings that lie in a folder, not those below it; UserError where there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in RECORDINGS)
    if not paths:
        raise UserError(
            f"There are no recordings in {folder}.",
            hint=f"They end in {', '.join(sorted(RECORDINGS))}. Folders below it are not looked into.",
        )
    recordings = tuple(Recording(id=path.stem, path=path) for path in paths)
    _refuse_same_ids(recordings)
    return recordings


def mels_in(folder: Path) -> tuple[MelFile, ...]:
    """The mels that lie in a folder; UserError where there are none."""
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise UserError(
            f"There are no mels in {folder}.",
            hint=f"They are NumPy files, <id>{SUFFIX}, one an utterance.",
        )
    return tuple(MelFile(id=path.stem, path=path) for path in paths)


def _content(path: Path) -> dict[str, Any]:
    """What tells a file from any other; one that is missing is complained of when it is read."""
    return {"digest": digest(path) if path.is_file() else None}


def _refuse_same_ids(recordings: Sequence[Recording]) -> None:
    seen: dict[str, Path] = {}
    for recording in recordings:
        other = seen.setdefault(recording.id, recording.path)
        if other != recording.path:
            raise UserError(
                f"{other} and {recording.path} would both be called {recording.id}.wav.",
                hint="Rename one of them, or move it elsewhere.",
            )
