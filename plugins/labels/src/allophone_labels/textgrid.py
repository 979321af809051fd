"""Reads interval tiers of TextGrids, the annotation format of Praat (Boersma and Weenink).

Praat's long and short text formats differ only in the words between the values. A value is a
free-standing number, a string in quotation marks or a flag in angle brackets; all other words and
everything after a `!` are comments. So one parser reads both formats.
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
    """A labelled interval, in seconds; the text may be empty."""

    start: float
    end: float
    text: str


@frozen(kw_only=True)
class _Value:
    content: str | float
    line: int


def read_tier(path: Path, name: str) -> tuple[Interval, ...]:
    """Read the intervals of a tier, in order. They do not overlap, but there can be gaps.

    The file is UTF-16 if it has that byte order mark, otherwise UTF-8. Raises UserError, with the line, if
    the file is not a valid TextGrid or has no interval tier of this name.
    """
    reader = _Reader(path)
    if reader.text() != "ooTextFile" or reader.text() != "TextGrid":
        raise UserError(
            f"{path} is not a TextGrid in one of Praat's text formats.",
            hint='It must start with: File type = "ooTextFile"',
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
            _skip_points(reader)
        else:
            raise reader.error(f"unknown tier class '{kind}'")
        others.append(f"'{tier}'")
    raise UserError(
        f"{path} has no interval tier '{name}'; its tiers are: {', '.join(others) or 'none'}."
    )


def _intervals(reader: _Reader) -> tuple[Interval, ...]:
    intervals: list[Interval] = []
    for _ in range(reader.count()):
        interval = Interval(start=reader.number(), end=reader.number(), text=reader.text())
        earliest = intervals[-1].end if intervals else 0.0
        if interval.end <= interval.start:
            raise reader.error(
                f"the end of an interval, {interval.end:g}, is not after its start, {interval.start:g}"
            )
        if interval.start < earliest - 1e-6:
            raise reader.error(
                f"the interval starts at {interval.start:g}, before the end of the previous one"
            )
        intervals.append(interval)
    return tuple(intervals)


def _skip_points(reader: _Reader) -> None:
    for _ in range(reader.count()):
        reader.number()
        reader.text()


class _Reader:
    """Reads the values of a file one by one and checks their types."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values = _values(_decoded(path))
        self._line = 1

    def text(self) -> str:
        content = self._next("a string in quotation marks")
        if not isinstance(content, str) or not content.startswith('"'):
            raise self.error(f"expected a string in quotation marks, found {content}")
        return content[1:-1].replace('""', '"')

    def number(self) -> float:
        content = self._next("a number")
        if not isinstance(content, float):
            raise self.error(f"expected a number, found {content}")
        return content

    def count(self) -> int:
        number = self.number()
        if number < 0 or number != int(number):
            raise self.error(f"expected a whole number, found {number:g}")
        return int(number)

    def flag(self) -> None:
        content = self._next("<exists>")
        if content != "<exists>":
            raise self.error(f"expected <exists>, found {content}: the TextGrid has no tiers")

    def error(self, problem: str) -> UserError:
        """Return an error with the file and the current line."""
        return UserError(f"{self._path}:{self._line}: {problem}.")

    def _next(self, expected: str) -> str | float:
        value = next(self._values, None)
        if value is None:
            raise UserError(f"{self._path} is truncated: expected {expected} at its end.")
        self._line = value.line
        return value.content


def _values(text: str) -> Iterator[_Value]:
    line, position = 1, 0
    for match in _VALUE.finditer(text):
        line += text.count("\n", position, match.start())
        position = match.start()
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
        raise UserError(f"The label file {path} cannot be read: {error}") from error
