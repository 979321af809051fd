"""Libri-Light (Kahn et al. 2020): chapters of audio books, 16 kHz, with speech segments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from allophone.corpora.reading import (
    corpus_root,
    folders,
    identifier,
    read_text,
    require_some,
    stems,
)
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone.files.parsing import parse_json
from allophone_corpora.config import LibriLightConfig

Segment = tuple[float, float]
"""Start and end in seconds."""


def read(config: LibriLightConfig) -> Iterator[Utterance]:
    """The parts of each chapter `subset/speaker/book/name.flac`, split by the speech segments in `name.json`.

    A chapter without a JSON file is one utterance. The recordings of one book by one speaker are one group.
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


def _speech(path: Path) -> list[Segment]:
    """The speech segments of a chapter; empty if there is no JSON file."""
    if not path.exists():
        return []
    told = parse_json(read_text(path), str(path))
    segments = told.get("voice_activity") if isinstance(told, dict) else None
    if not isinstance(segments, list):
        raise UserError(f"{path} must have a list voice_activity, and has none.")
    return [_segment(plain, path) for plain in segments]


def _segment(plain: object, path: Path) -> Segment:
    match plain:
        case [float() | int() as start, float() | int() as end] if 0 <= start < end:
            return float(start), float(end)
    raise UserError(f"{path}: voice_activity has {plain!r}, which is not [start, end] in seconds.")


def _joined(segments: Iterable[Segment], longest: float) -> list[Segment]:
    """Join neighbouring segments up to `longest` seconds; divide longer ones into equal parts."""
    spans: list[Segment] = []
    for start, end in segments:
        if spans and end - spans[-1][0] <= longest:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((start, end))
    return [part for span in spans for part in _divided(*span, longest)]


def _divided(start: float, end: float, longest: float) -> Iterator[Segment]:
    parts = math.ceil((end - start) / longest)
    for part in range(parts):
        yield start + part * (end - start) / parts, start + (part + 1) * (end - start) / parts
