"""A folder that is filled file by file and can be taken up again where it was left.

out/
    LJ001-0001.wav ...
    made.jsonl          one object a file: all that decides it, and what came of it
    failed.jsonl        what could not be made, and why; absent when all went well

What is to be made is known by an id, and by its *inputs*: plain data that decide the result. A file is
up to date while it is there and its inputs are those it was made of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import field, frozen

from allophone.atomic import written_whole
from allophone.errors import UserError
from allophone.synthesis.waveform import Waveform

MADE = "made.jsonl"
FAILED = "failed.jsonl"

Row = dict[str, Any]
"""Plain data, as JSON holds them."""

T = TypeVar("T")
R = TypeVar("R")


@frozen(kw_only=True)
class Made:
    """A file that was written; facts are what its row says beside the inputs."""

    id: str
    file: str
    facts: Row = field(factory=dict)


@frozen(kw_only=True)
class Failure:
    """Something that could not be made."""

    id: str
    reason: str


@frozen(kw_only=True)
class Report:
    """How it went: made and skipped (up to date before) are counts."""

    made: int
    skipped: int
    failures: tuple[Failure, ...]


class Ledger:
    """What a folder holds of what is wanted.

    todo: the ids that are not up to date, in the order of the inputs.
    """

    def __init__(self, out: Path, inputs: Mapping[str, Row]) -> None:
        """Read the log of a folder, which need not exist yet, and forget what is out of date.

        inputs: by id; what the log has of other ids is left alone.
        """
        self._out = out
        self._inputs = inputs
        logged = {row["id"]: row for row in _read_rows(out / MADE)}
        current = {
            id
            for id, wanted in inputs.items()
            if id in logged
            and wanted.items() <= logged[id].items()
            and (out / logged[id]["file"]).is_file()
        }
        self.todo = tuple(id for id in inputs if id not in current)
        kept = [row for id, row in logged.items() if id in current or id not in inputs]
        _write_rows(out / MADE, kept)

    def record(self, results: Iterable[Made | Failure]) -> Report:
        """Log results as they come; whoever yields one has written its file."""
        made = 0
        failures: list[Failure] = []
        with (self._out / MADE).open("a", encoding="utf-8") as log:
            for result in results:
                if isinstance(result, Failure):
                    failures.append(result)
                    continue
                made += 1
                row = {"id": result.id, **self._inputs[result.id], "file": result.file}
                log.write(_dumped({**row, **result.facts}))
                log.flush()
        if failures:
            rows = (
                {"id": one.id, **self._inputs[one.id], "reason": one.reason} for one in failures
            )
            _write_rows(self._out / FAILED, rows)
        else:
            (self._out / FAILED).unlink(missing_ok=True)
        skipped = len(self._inputs) - len(self.todo)
        return Report(made=made, skipped=skipped, failures=tuple(failures))


def in_batches(
    items: Sequence[T], batch_size: int, make: Callable[[Sequence[T]], Sequence[R]]
) -> Iterator[tuple[T, R | Exception]]:
    """What `make` gives for each item, made `batch_size` at a time, or what it has raised.

    One item may spoil a batch for its neighbours, so those of a batch that fails are made one by one.
    """
    for start in range(0, len(items), batch_size):
        group = items[start : start + batch_size]
        try:
            made = make(group)
        except Exception as error:
            if len(group) == 1:
                yield group[0], error
            else:
                yield from in_batches(group, 1, make)
        else:
            yield from zip(group, made, strict=True)


def save_waveform(out: Path, id: str, waveform: Waveform, **facts: Any) -> Made | Failure:
    """Write the WAV file of an id; a failure where its samples are not all finite."""
    name = f"{id}.wav"
    try:
        waveform.save(out / name)
    except UserError as error:
        return Failure(id=id, reason=reason(error))
    heard = {"seconds": round(waveform.seconds, 4), "sample_rate": waveform.sample_rate}
    return Made(id=id, file=name, facts={**facts, **heard})


def reason(error: Exception) -> str:
    """What went wrong, for a `Failure`."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def digest(path: Path) -> str:
    """What tells the content of a file from any other."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _read_rows(path: Path) -> Iterator[Row]:
    """The rows of a log; one that a killed process left unfinished ends it."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    with written_whole(path) as file:
        for row in rows:
            file.write(_dumped(row).encode())


def _dumped(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
