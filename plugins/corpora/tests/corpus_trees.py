"""Helpers for the test corpora of `speech_trees` and `song_trees`.

Every recording is a tone of half a second, those that are cut have a pause of a second between two.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from attrs import field, frozen

RATE = 8000


def tone(seconds: float = 0.5, *, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)


def record(path: Path, samples: np.ndarray | None = None, *, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate=rate) if samples is None else samples, rate)
    return path


def phrases(*seconds: float) -> np.ndarray:
    """Tones with a second of silence before, between and after them."""
    pause = np.zeros(RATE)
    return np.concatenate([pause, *(part for s in seconds for part in (tone(s), pause))])


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@frozen(kw_only=True)
class Tree:
    """A small folder in a corpus's real layout, and the expected utterances.

    write: writes it into a folder.
    options: what the corpus's table in an experiment has besides type and root.
    utterances: the speaker, the text and the split of each utterance, by its id.
    languages: of these utterances.
    required, listings, recording, lists_missing: see `allophone_testing.CorpusContract`.
    double: adds a second utterance of an id to it.
    """

    write: Callable[[Path], None]
    options: dict[str, Any] = field(factory=dict)
    utterances: dict[str, tuple[str | None, str, str | None]]
    languages: set[str | None]
    required: tuple[str, ...]
    listings: tuple[str, ...] = ()
    recording: str
    lists_missing: bool = True
    double: Callable[[Path], object]


def append(path: Path, source: Path | None = None) -> None:
    """Append the first line of a list (or another line) to it."""
    line = (source or path).read_text(encoding="utf-8").split("\n")[0]
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n" + line, encoding="utf-8")


def copied(source: str, *places: str) -> Callable[[Path], None]:
    def double(root: Path) -> None:
        for place in places:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes((root / source).read_bytes())

    return double
