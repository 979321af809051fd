"""Libri-Light (Kahn et al. 2020): chapters of audio books, 16 kHz, with stretches of speech."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from allophone.corpora.reading import (
    corpus_root,
    folders,
    identifier,
    parse_json,
    read_text,
    require_some,
    stems,
)
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone_corpora.config import LibriLightConfig

Stretch = tuple[float, float]
"""Where it begins and ends, in seconds."""


def read(config: LibriLightConfig) -> Iterator[Utterance]:
    """The parts of each chapter `subset/speaker/book/name.flac`, as `name.json` divides it.

    A chapter without such a file stays whole. What a speaker reads of one book is one group.
    """
    root = corpus_root(config, *config.subsets)
    for subset in config.subsets:
        found = [
            (speaker.name, book, name)
            for speaker in folders(root / subset)
            for book in folders(speaker)
            for name in stems(book, ".flac", ".json")
        ]
        require_some(found, root / subset, "speaker/book/name.flac")
        for speaker, book, name in found:
            spoken = _speech(book / f"{name}.json")
            parts: list[tuple[float | None, float | None]] = [*_joined(spoken, config.max_seconds)]
            for number, (start, end) in enumerate(parts or [(None, None)]):
                yield Utterance(
                    id=identifier(speaker, book.name, name, f"{number:04d}"),
                    audio=str(book / f"{name}.flac"),
                    text="",
                    speaker=speaker,
                    language=config.language,
                    start=start,
                    end=end,
                    group=f"{speaker}/{book.name}",
                )


def _speech(path: Path) -> list[Stretch]:
    """The stretches of speech in a chapter's file; none where there is no file."""
    if not path.exists():
        return []
    told = parse_json(read_text(path), str(path))
    stretches = told.get("voice_activity") if isinstance(told, dict) else None
    if not isinstance(stretches, list):
        raise UserError(f"{path} has no list voice_activity.")
    return [_stretch(plain, path) for plain in stretches]


def _stretch(plain: object, path: Path) -> Stretch:
    match plain:
        case [float() | int() as start, float() | int() as end] if 0 <= start < end:
            return float(start), float(end)
    raise UserError(f"{path}: voice_activity has {plain!r}, which is not [start, end] in seconds.")


def _joined(stretches: Iterable[Stretch], longest: float) -> list[Stretch]:
    """Neighbours joined with the pauses between them, up to so many seconds; a longer one in equal parts."""
    spans: list[Stretch] = []
    for start, end in stretches:
        if spans and end - spans[-1][0] <= longest:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((start, end))
    return [part for span in spans for part in _divided(*span, longest)]


def _divided(start: float, end: float, longest: float) -> Iterator[Stretch]:
    parts = math.ceil((end - start) / longest)
    for part in range(parts):
        yield start + part * (end - start) / parts, start + (part + 1) * (end - start) / parts
