"""The corpus reader `table`: a table such as `metadata.csv`, or a JSONL file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from allophone.corpora.config import TABLE_COLUMNS, TableConfig
from allophone.corpora.reading import corpus_root, identifier, read_lines, seconds
from allophone.data.manifest import BadRow, Utterance, utterance_from_plain
from allophone.errors import UserError, near_miss, shown
from allophone.files.parsing import parse_json

_LINE = 100_000
"""Characters of a line: more is no utterance but a file that was damaged."""

_QUOTED_LINES = 20
"""Lines that a quoted cell may run over: a quotation mark that nobody closes must not swallow the rest."""

_ENDINGS = frozenset(
    [
        ".aif",
        ".aifc",
        ".aiff",
        ".au",
        ".caf",
        ".flac",
        ".g722",
        ".m4a",
        ".mp3",
        ".mp4",
        ".oga",
        ".ogg",
        ".opus",
        ".raw",
        ".rf64",
        ".sln16",
        ".snd",
        ".sph",
        ".voc",
        ".w64",
        ".wav",
        ".wave",
        ".webm",
        ".wma",
    ]
)
"""What is the ending of a recording and no part of its name, as ".00" is in "rec.00"."""


def read(config: TableConfig) -> Iterator[Utterance | BadRow]:
    """One utterance a row; without an id it has the name of its recording.

    A row that holds no utterance is yielded as a `BadRow`, and the rest is read.
    """
    root = corpus_root(config, config.file)
    path = root / config.file
    as_json = path.suffix == ".jsonl"
    rows: Iterator[tuple[str, Any]] = read_lines(path) if as_json else _rows(path, config)
    for where, content in rows:
        try:
            if isinstance(content, UserError):
                raise content
            named = _object if as_json else _named
            yield _utterance(named(content, where, config), where, root, config)
        except UserError as error:
            yield BadRow(where=where, message=error.message, hint=error.hint)


def _utterance(row: Mapping[str, Any], where: str, root: Path, config: TableConfig) -> Utterance:
    fields = {name: value for name, value in row.items() if value not in ("", None)}
    name = fields.get("audio")
    if not isinstance(name, str):
        raise UserError(f"{where}: audio is missing or not a string.")
    recording = config.audio.format(name)
    if "\\" in name and not os.path.exists(root / recording):
        raise UserError(
            f"{where} names the recording {shown(name)}, which is not there.",
            hint='Write folders with "/", as in sub/a.wav.',
        )
    defaults: dict[str, Any] = {
        "id": identifier(_stem(name) if config.audio.endswith("{}") else name),
        "text": "",
        "speaker": config.speaker,
        "language": config.language,
    }
    fields["audio"] = str(root / recording)
    if isinstance(fields.get("labels"), str):
        fields["labels"] = str(root / fields["labels"])
    return utterance_from_plain(defaults | fields, where=where)


def _stem(name: str) -> str:
    """The name of a recording without its ending."""
    path = Path(name)
    return str(path.with_suffix("")) if path.suffix.lower() in _ENDINGS else name


def _object(line: str, where: str, config: TableConfig) -> dict[str, Any]:
    if error := _too_long(line, where):
        raise error
    row = parse_json(line, where)
    if not isinstance(row, dict):
        raise UserError(f"{where} is not a JSON object: {line[:60]}")
    unknown = sorted(row.keys() - {*TABLE_COLUMNS, *config.ignore})
    if unknown:
        raise UserError(
            f"{where} has an unknown key {shown(unknown[0])}. "
            f"{near_miss(unknown[0], TABLE_COLUMNS)}",
            hint="To ignore keys, list them in `ignore` in [[data.corpora]].",
        )
    return {key: value for key, value in row.items() if key not in config.ignore}


def _rows(path: Path, config: TableConfig) -> Iterator[tuple[str, list[str] | UserError]]:
    """The cells of each row, or what is wrong with them. A quoted cell may run over several lines."""
    lines = list(read_lines(path))
    first = 0
    while first < len(lines):
        where, line = lines[first]
        used, cells = 1, _split(line, where, config)
        while isinstance(cells, _OpenQuoteError) and used < min(_QUOTED_LINES, len(lines) - first):
            used += 1
            joined = "\n".join(line for _, line in lines[first : first + used])
            cells = _split(joined, where, config)
        if used > 1 and (isinstance(cells, UserError) or len(cells) != len(config.columns)):
            # The quotation mark was never meant to be closed so far below: the fault is this line's alone.
            used, cells = 1, _OpenQuoteError(where)
        yield where, cells
        first += used


class _OpenQuoteError(UserError):
    """A quotation mark that the row does not close."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where} has a quotation mark at the start of a cell that nothing closes."
        )


def _split(line: str, where: str, config: TableConfig) -> list[str] | UserError:
    """The cells of a row, or what is wrong with it."""
    if error := _too_long(line, where):
        return error
    quoting: Any = csv.QUOTE_MINIMAL if config.delimiter == "," else csv.QUOTE_NONE
    reader = csv.reader([line], delimiter=config.delimiter, quoting=quoting, strict=True)
    try:
        return next(reader)
    except csv.Error as error:
        said = str(error)
    if "end of data" in said:
        return _OpenQuoteError(where)
    if "new-line" in said:
        return UserError(
            f"{where} has a carriage return inside the row; expected one row a line.",
            hint="Save the table with the line ends of Unix or Windows.",
        )
    if "expected after" in said:
        return UserError(
            f"{where} has text after the closing quotation mark of a cell.",
            hint='A quotation mark inside a quoted cell is written twice: "He said ""yes""."',
        )
    return UserError(f"{where} cannot be read as cells: {said}")


def _too_long(line: str, where: str) -> UserError | None:
    if len(line) <= _LINE:
        return None
    return UserError(f"{where} has {len(line):,} characters; expected at most {_LINE:,}.")


def _named(cells: Sequence[str], where: str, config: TableConfig) -> dict[str, Any]:
    """The cells of a row by their columns."""
    if len(cells) != len(config.columns):
        raise UserError(
            f"{where} has {len(cells)} column{'s' * (len(cells) != 1)}; expected {len(config.columns)}: "
            f"{config.delimiter.join(config.columns)}",
            hint="Set columns and delimiter in [[data.corpora]] to match the file.",
        )
    stripped = (" ".join(cell.splitlines()).strip() for cell in cells)
    named = zip(config.columns, stripped, strict=True)
    row: dict[str, Any] = {column: cell for column, cell in named if column != "-"}
    for column in ("start", "end"):
        if row.get(column):
            row[column] = seconds(row[column], column, where)
    return row
