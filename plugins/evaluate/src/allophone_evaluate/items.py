"""What is evaluated: texts, recordings to compare with, or both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import evolve, frozen

from allophone.audio.files import Audio, read_audio
from allophone.errors import UserError
from allophone.synthesis.requests import Request, read_requests, utterances_of_split

_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus")


@frozen(kw_only=True)
class Recording:
    """A recording, or the part of it between two times in seconds."""

    path: Path
    start: float | None = None
    end: float | None = None

    def read(self, sample_rate: int | None = None) -> Audio:
        """Read it, resampled to `sample_rate` if given; UserError if that fails."""
        return read_audio(self.path, start=self.start, end=self.end, sample_rate=sample_rate)


@frozen(kw_only=True)
class Item:
    """One utterance to evaluate.

    request: its id, text, speaker, language and prompt; the text is "" where it is not known.
    reference: a recording of it, or None.
    """

    request: Request
    reference: Recording | None = None


def items_of_manifest(manifest: Path, split: str) -> tuple[Item, ...]:
    """The utterances of a split, with their recordings; UserError if the split is unknown or empty."""
    return tuple(
        Item(
            request=Request(id=one.id, text=one.text, speaker=one.speaker, language=one.language),
            reference=Recording(path=Path(one.audio), start=one.start, end=one.end),
        )
        for one in utterances_of_split(manifest, split)
    )


def items_of_texts(texts: Path) -> tuple[Item, ...]:
    """The texts of a list, as `allophone synthesize --list` reads it; UserError with the line of a mistake."""
    return tuple(Item(request=request) for request in read_requests(texts))


def items_of_folder(folder: Path) -> tuple[Item, ...]:
    """The recordings of a folder, without texts; their ids are the names of the files without extension."""
    return tuple(
        Item(request=Request(id=id, text=""), reference=recording)
        for id, recording in recordings(folder).items()
    )


def with_references(items: Iterable[Item], folder: Path) -> tuple[Item, ...]:
    """Give items the recordings in a folder with their ids; UserError if one has none."""
    found = recordings(folder)
    items = tuple(items)
    missing = [item.request.id for item in items if item.request.id not in found]
    if missing:
        raise UserError(
            f"{folder} has no recording for {len(missing)} of {len(items)} texts: {_some(missing)}.",
            hint="The name of a recording without its extension is the id of its text. A list without "
            "ids has the numbers of its lines: 00001.wav.",
        )
    return tuple(evolve(item, reference=found[item.request.id]) for item in items)


def recordings(folder: Path) -> dict[str, Recording]:
    """The recordings of a folder by name without extension, sorted; UserError if it has none."""
    found: dict[str, Recording] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _SUFFIXES:
            continue
        if path.stem in found:
            raise UserError(
                f"{folder} has two recordings named '{path.stem}': {found[path.stem].path.name} and "
                f"{path.name}.",
                hint="Remove one of them.",
            )
        found[path.stem] = Recording(path=path)
    if not found:
        raise UserError(f"{folder} has no recordings ({', '.join(_SUFFIXES)}).")
    return found


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
