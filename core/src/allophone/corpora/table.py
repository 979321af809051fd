"""The corpus reader `table`: a table such as `metadata.csv`, or a JSONL file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from allophone.corpora.config import TABLE_COLUMNS, TableConfig
from allophone.corpora.reading import corpus_root, parse_json, read_lines, seconds
from allophone.data.manifest import Utterance, utterance_from_plain
from allophone.errors import UserError, near_miss


def read(config: TableConfig) -> Iterator[Utterance]:
    """Yield one utterance per line. Without an id column, the id is derived from the audio path."""
    root = corpus_root(config, config.file)
    path = root / config.file
    rows = _objects(path, config) if path.suffix == ".jsonl" else _rows(path, config)
    for where, row in rows:
        fields = {name: value for name, value in row.items() if value not in ("", None)}
        if not isinstance(fields.get("audio"), str):
            raise UserError(f"{where}: audio is missing or not a string.")
        recording = config.audio.format(fields["audio"])
        defaults: dict[str, Any] = {
            "id": "_".join(Path(fields["audio"]).with_suffix("").parts).replace(" ", "_"),
            "text": "",
            "speaker": config.speaker,
            "language": config.language,
        }
        fields["audio"] = str(root / recording)
        if isinstance(fields.get("labels"), str):
            fields["labels"] = str(root / fields["labels"])
        yield utterance_from_plain(defaults | fields, where=where)


def _objects(path: Path, config: TableConfig) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for where, line in read_lines(path):
        row = parse_json(line, where)
        if not isinstance(row, dict):
            raise UserError(f"{where} is not a JSON object: {line[:60]}")
        unknown = sorted(row.keys() - {*TABLE_COLUMNS, *config.ignore})
        if unknown:
            raise UserError(
                f"{where} has an unknown key '{unknown[0]}'. "
                f"{near_miss(unknown[0], TABLE_COLUMNS)}",
                hint="To ignore keys, list them in `ignore` in [[data.corpora]].",
            )
        yield where, {key: value for key, value in row.items() if key not in config.ignore}


def _rows(path: Path, config: TableConfig) -> Iterator[tuple[str, Mapping[str, Any]]]:
    quoting: Any = csv.QUOTE_MINIMAL if config.delimiter == "," else csv.QUOTE_NONE
    for where, line in read_lines(path):
        cells = next(csv.reader([line], delimiter=config.delimiter, quoting=quoting))
        if len(cells) != len(config.columns):
            raise UserError(
                f"{where} has {len(cells)} columns; expected {len(config.columns)}: "
                f"{config.delimiter.join(config.columns)}",
                hint="Set columns and delimiter in [[data.corpora]] to match the file.",
            )
        named = zip(config.columns, (cell.strip() for cell in cells), strict=True)
        row: dict[str, Any] = {column: cell for column, cell in named if column != "-"}
        for column in ("start", "end"):
            if row.get(column):
                row[column] = seconds(row[column], column, where)
        yield where, row
