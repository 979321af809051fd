"""The intervals of a TextGrid, the annotation format of Praat (Boersma and Weenink).

Praat's text formats, the long and the short one, differ only in words between the values: a value is
a number that stands alone, a text in quotation marks or a flag in angle brackets, and all else is
there for the reader, as is what follows a `!`. So one reader serves both.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from allophone.errors import UserError

_VALUE = re.compile(
    r'(?P<text>"(?:[^"]|"")*")|(?P<flag><[^>\s]*>)|(?P<comment>![^\n]*)|(?P<word>[^\s"<!]\S*|["<])'
)
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@frozen(kw_only=True)
class Interval:
    """A stretch of time with a text, which may be empty; seconds."""

    start: float
    end: float
    text: str


@frozen(kw_only=True)
class _Value:
    content: str | float
    line: int


def read_tier(path: Path, name: str) -> tuple[Interval, ...]:
    """The intervals of a tier, in order, without overlaps; there may be gaps between them.

    The file is UTF-16 where a byte order mark says so, else UTF-8. UserError, with the line, for what
    is no TextGrid, and where no tier of intervals has this name.
    """
    reader = _Reader(path)
    if reader.text() != "ooTextFile" or reader.text() != "TextGrid":
        raise UserError(
            f"{path} is not a TextGrid in one of Praat's text formats.",
            hint='It should begin with: File type = "ooTextFile"',
        )
    reader.number()
    reader.number()
    reader.flag()
    others: list[str] = []
    for _ in range(reader.count()):
        kind, tier = reader.text(), reader.text()
        reader.number()
        reader.number()
        if kind == "IntervalTier":
            intervals = _intervals(reader)
            if tier == name:
                return intervals
        elif kind == "TextTier":
            _pass_over_points(reader)
        else:
            raise reader.refusal(f"a tier of the unknown class '{kind}'")
        others.append(f"'{tier}'")
    raise UserError(
        f"{path} has no tier '{name}' of intervals; there is: {', '.join(others) or 'none'}."
    )


def _intervals(reader: _Reader) -> tuple[Interval, ...]:
    intervals: list[Interval] = []
    for _ in range(reader.count()):
        interval = Interval(start=reader.number(), end=reader.number(), text=reader.text())
        earliest = intervals[-1].end if intervals else 0.0
        if interval.end <= interval.start:
            raise reader.refusal(
                f"an interval from {interval.start:g} to {interval.end:g}, which ends before it begins"
            )
        if interval.start < earliest - 1e-6:
            raise reader.refusal(
                f"an interval from {interval.start:g} on, before the one above it has ended"
            )
        intervals.append(interval)
    return tuple(intervals)


def _pass_over_points(reader: _Reader) -> None:
    for _ in range(reader.count()):
        reader.number()
        reader.text()


class _Reader:
    """Hands out the values of a file one by one, each as what it is expected to be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values = _values(_decoded(path))
        self._line = 1

    def text(self) -> str:
        content = self._next("a text in quotation marks")
        if not isinstance(content, str) or not content.startswith('"'):
            raise self.refusal(f"{content} where a text in quotation marks should be")
        return content[1:-1].replace('""', '"')

    def number(self) -> float:
        content = self._next("a number")
        if not isinstance(content, float):
            raise self.refusal(f"{content} where a number should be")
        return content

    def count(self) -> int:
        number = self.number()
        if number < 0 or number != int(number):
            raise self.refusal(f"{number:g} where a whole number should be")
        return int(number)

    def flag(self) -> None:
        content = self._next("<exists>")
        if content != "<exists>":
            raise self.refusal(f"{content} where <exists> should be: it has no tiers")

    def refusal(self, what: str) -> UserError:
        """The error that this line holds something else than it should."""
        return UserError(f"{self._path}:{self._line} holds {what}.")

    def _next(self, expected: str) -> str | float:
        value = next(self._values, None)
        if value is None:
            raise UserError(f"{self._path} ends where {expected} should be.")
        self._line = value.line
        return value.content


def _values(text: str) -> Iterator[_Value]:
    line, seen = 1, 0
    for match in _VALUE.finditer(text):
        line += text.count("\n", seen, match.start())
        seen = match.start()
        if match["text"] or match["flag"]:
            yield _Value(content=match[0], line=line)
        elif match["word"] and (number := _number(match["word"])) is not None:
            yield _Value(content=number, line=line)


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        marks = _BYTE_ORDER_MARKS.items()
        encoding = next((name for mark, name in marks if content.startswith(mark)), "utf-8")
        return content.decode(encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The labels {path} cannot be read: {error}") from error
