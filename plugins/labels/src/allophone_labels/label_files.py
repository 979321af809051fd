"""Reads phone alignments: `.lab` files (ESPS xlabel) and Praat TextGrids.

A `.lab` file has a header that ends with a line `#`, then one line per phone: its end in seconds, a color
(ignored) and its name. For TextGrids see `allophone_labels.textgrid`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from attrs import frozen

from allophone.errors import UserError
from allophone_labels.textgrid import read_tier

SILENCE = ""
"""Name given to every silence, whatever its name in the file."""

_SILENCES = frozenset({SILENCE, "sil", "sp", "spn", "<eps>"})
"""Names of silence, short pauses and noise in the output of the Montreal Forced Aligner and similar tools."""

_TIER = "phones"
_GAP_TOLERANCE = 1e-3
"""Maximum gap in seconds between two intervals that does not count as silence."""


@frozen(kw_only=True)
class Phone:
    """A phone and its end in seconds. It starts at the end of the previous phone, or at 0."""

    name: str
    end: float


def read_labels(path: str | Path) -> tuple[Phone, ...]:
    """Read the phones of a label file, in order; adjacent silences are merged and named `SILENCE`.

    A `.TextGrid` file must have a tier "phones"; gaps between its intervals are silences. Any other file
    is read as `.lab`. Raises UserError with the line of an error.
    """
    path = Path(path)
    phones = _read_textgrid(path) if path.suffix.lower() == ".textgrid" else _read_lab(path)
    if not phones:
        raise UserError(f"The label file {path} has no phones.")
    return tuple(_merge_silences(phones))


def _read_lab(path: Path) -> Sequence[Phone]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The label file {path} cannot be read: {error}") from error
    header = next((n for n, line in enumerate(lines) if line.strip() == "#"), None)
    if header is None:
        raise UserError(f"The label file {path} has no line '#' to end its header.")
    phones: list[Phone] = []
    for number, line in enumerate(lines[header + 1 :], start=header + 2):
        if not line.strip():
            continue
        fields = line.split()
        try:
            phone = Phone(name=fields[2], end=float(fields[0]))
        except (IndexError, ValueError):
            raise UserError(f"{path}:{number}: expected a line: end color phone") from None
        if phone.end < (phones[-1].end if phones else 0.0):
            raise UserError(f"{path}:{number}: the phone ends before the previous one.")
        phones.append(phone)
    return phones


def _read_textgrid(path: Path) -> Sequence[Phone]:
    phones: list[Phone] = []
    for interval in read_tier(path, _TIER):
        end = phones[-1].end if phones else 0.0
        if interval.start > end + _GAP_TOLERANCE:
            phones.append(Phone(name=SILENCE, end=interval.start))
        phones.append(Phone(name=interval.text.strip(), end=interval.end))
    return phones


def _merge_silences(phones: Iterable[Phone]) -> Iterable[Phone]:
    for silent, run in groupby(phones, key=lambda phone: phone.name in _SILENCES):
        if silent:
            yield Phone(name=SILENCE, end=list(run)[-1].end)
        else:
            yield from run
