"""Phones and their times, from files beside the recordings: `.lab` files (ESPS xlabel), TextGrids of Praat.

A `.lab` file has a header that ends in a line `#`, then one line a phone: the second at which it
ends, a colour, which means nothing here, and its name. TextGrids: see `allophone_labels.textgrid`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from attrs import frozen

from allophone.errors import UserError
from allophone_labels.textgrid import read_tier

SILENCE = ""
"""The name of every silence that is read, however the file calls it."""

_SILENCES = frozenset({SILENCE, "sil", "sp", "spn", "<eps>"})
"""What the Montreal Forced Aligner and its kin call silence, short pauses and noise."""

_TIER = "phones"
_LONGEST_SLIP = 1e-3
"""Seconds between the end of one interval and the beginning of the next that are no silence."""


@frozen(kw_only=True)
class Phone:
    """A phone and the second at which it ends; it begins where the one before it ends, or at 0."""

    name: str
    end: float


def read_labels(path: str | Path) -> tuple[Phone, ...]:
    """The phones of a label file, in order, silences that touch made one and called `SILENCE`.

    A file whose name ends in `.TextGrid` is read as one, and must have a tier "phones"; where that
    leaves a gap, there is silence. UserError with the line of a mistake.
    """
    path = Path(path)
    phones = _read_textgrid(path) if path.suffix.lower() == ".textgrid" else _read_lab(path)
    if not phones:
        raise UserError(f"The labels {path} name no phones.")
    return tuple(_one_silence_at_a_time(phones))


def _read_lab(path: Path) -> Sequence[Phone]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The labels {path} cannot be read: {error}") from error
    header = next((n for n, line in enumerate(lines) if line.strip() == "#"), None)
    if header is None:
        raise UserError(f"The labels {path} have no line '#' that ends their header.")
    phones: list[Phone] = []
    for number, line in enumerate(lines[header + 1 :], start=header + 2):
        if not line.strip():
            continue
        fields = line.split()
        try:
            phone = Phone(name=fields[2], end=float(fields[0]))
        except (IndexError, ValueError):
            raise UserError(f"{path}:{number} is not of the form: end number phone") from None
        if phone.end < (phones[-1].end if phones else 0.0):
            raise UserError(f"{path}:{number} ends before the phone above it does.")
        phones.append(phone)
    return phones


def _read_textgrid(path: Path) -> Sequence[Phone]:
    phones: list[Phone] = []
    for interval in read_tier(path, _TIER):
        end = phones[-1].end if phones else 0.0
        if interval.start > end + _LONGEST_SLIP:
            phones.append(Phone(name=SILENCE, end=interval.start))
        phones.append(Phone(name=interval.text.strip(), end=interval.end))
    return phones


def _one_silence_at_a_time(phones: Iterable[Phone]) -> Iterable[Phone]:
    for silent, run in groupby(phones, key=lambda phone: phone.name in _SILENCES):
        if silent:
            yield Phone(name=SILENCE, end=list(run)[-1].end)
        else:
            yield from run
