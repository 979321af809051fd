"""CSD, the Children's Song Dataset (Choi et al. 2020): 44.1 kHz, each song in two keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from allophone.corpora.reading import (
    corpus_root,
    identifier,
    read_lines,
    require_some,
    seconds,
    stems,
)
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone_corpora.config import CSDConfig
from allophone_corpora.songs import set_apart

_MARGIN = 0.1
"""Context before and after an utterance, in seconds."""
_LANGUAGES = {"english": "en-us", "korean": "ko"}
_COLUMNS = ("start", "end", "pitch", "syllable")


@frozen(kw_only=True)
class _Syllable:
    """A row of a song's table, in seconds."""

    text: str
    start: float
    end: float


def read(config: CSDConfig) -> Iterator[Utterance]:
    """One utterance per line of `txt/`; the times of syllables are in `csv/`."""
    return set_apart(_utterances(config), config)


def _utterances(config: CSDConfig) -> Iterator[Utterance]:
    expected = [f"{name}/{kind}" for name in config.languages for kind in ("wav", "txt", "csv")]
    root = corpus_root(config, *expected)
    for language in config.languages:
        folder = root / language
        songs = sorted({*stems(folder / "wav", ".wav"), *stems(folder / "csv", ".csv")})
        require_some(songs, folder / "wav", "one recording per song, such as en001a.wav")
        for song in songs:
            for number, phrase in enumerate(_phrases(folder, song)):
                yield Utterance(
                    id=identifier(song, f"{number:04d}"),
                    audio=str(folder / "wav" / f"{song}.wav"),
                    text=" ".join(syllable.text for syllable in phrase),
                    language=config.language or _LANGUAGES[language],
                    start=max(0.0, phrase[0].start - _MARGIN),
                    end=phrase[-1].end + _MARGIN,
                    # The two keys of a song, "a" and "b", have the same words.
                    group=song.rstrip("ab"),
                )


def _phrases(folder: Path, song: str) -> Iterator[list[_Syllable]]:
    """The syllables of each line of a song's text, with times from its table."""
    table, text = folder / "csv" / f"{song}.csv", folder / "txt" / f"{song}.txt"
    (where, header), *lines = read_lines(table)
    columns = [cell.strip() for cell in header.split(",")]
    if not set(_COLUMNS) <= set(columns):
        raise UserError(f"{where} must have the columns {', '.join(_COLUMNS)}, not: {header[:60]}")
    syllables = [
        _syllable(dict(zip(columns, line.split(","), strict=False)), at) for at, line in lines
    ]
    counts = [len(line.split()) for _, line in read_lines(text)]
    if sum(counts) != len(syllables):
        raise UserError(
            f"{text} has {sum(counts)} syllables, but {table} has {len(syllables)} rows; they must be equal."
        )
    for count in counts:
        phrase, syllables = syllables[:count], syllables[count:]
        yield phrase


def _syllable(row: Mapping[str, str], where: str) -> _Syllable:
    start, end = (seconds(row.get(column), column, where) for column in ("start", "end"))
    if not 0 <= start < end:
        raise UserError(
            f"{where}: start ({start:g}) must be at least 0 and less than end ({end:g})."
        )
    return _Syllable(text=row.get("syllable", "").strip(), start=start, end=end)
