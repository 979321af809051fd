"""Resumable batch jobs that write one file per item into a folder.

out/
    LJ001-0001.wav ...
    made.jsonl          one object per file: its inputs, and facts about the result
    failed.jsonl        the items that failed, and why; absent if there are none

An item has an id and *inputs*: plain data that determines the result. A file is up to date if it exists and
was made from the same inputs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from attrs import field, frozen

from allophone.errors import UserError
from allophone.files.atomic import atomic_write
from allophone.files.locks import folder_locked
from allophone.files.parsing import parse_json_object
from allophone.files.system_errors import errors_naming
from allophone.synthesis.waveform import Waveform

MADE = "made.jsonl"
FAILED = "failed.jsonl"
_UNPAIRED = "backslashreplace"
"""Unpaired surrogates of texts are written as JSON escapes, which stand for the same."""

Row = dict[str, Any]
"""JSON-serializable data."""

T = TypeVar("T")
R = TypeVar("R")


@frozen(kw_only=True)
class Success:
    """A file that was written.

    facts: what its row in `made.jsonl` contains besides the inputs.
    """

    id: str
    file: str
    facts: Row = field(factory=dict)


@frozen(kw_only=True)
class Failure:
    """An item that failed."""

    id: str
    reason: str


@frozen(kw_only=True)
class Report:
    """The result of a job.

    made, skipped: the numbers of files written, and of files that were already up to date.
    """

    made: int
    skipped: int
    failures: tuple[Failure, ...]


class Ledger:
    """Keeps track of which files in a folder are up to date.

    todo: the ids that are not up to date, in the order of the inputs.
    Use `open_ledger` to create one.
    """

    def __init__(self, out: Path, inputs: Mapping[str, Row]) -> None:
        """Read `made.jsonl` in `out`, if it exists, and remove rows that are out of date.

        inputs: the inputs of each item by id. Rows of other ids are kept.
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

    def record(self, results: Iterable[Success | Failure]) -> Report:
        """Log results as they arrive. The files must already be written."""
        made = 0
        failures: list[Failure] = []
        path = self._out / MADE
        with errors_naming(path), path.open("a", encoding="utf-8", errors=_UNPAIRED) as log:
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


@contextmanager
def open_ledger(out: Path, inputs: Mapping[str, Row]) -> Iterator[Ledger]:
    """Lock a folder and open its ledger. Raises UserError if another process is writing the folder."""
    with folder_locked(out):
        yield Ledger(out, inputs)


def in_batches(
    items: Sequence[T], batch_size: int, make: Callable[[Sequence[T]], Sequence[R]]
) -> Iterator[tuple[T, R | Exception]]:
    """Call `make` on batches of items; yield each item with its result or the exception raised.

    If a batch fails, its items are retried one by one, so that one bad item does not fail the others.
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


def save_waveform(out: Path, id: str, waveform: Waveform, **facts: Any) -> Success | Failure:
    """Write the WAV file of an item; return a Failure if its samples are not finite."""
    name = f"{id}.wav"
    try:
        waveform.save(out / name)
    except UserError as error:
        return Failure(id=id, reason=reason(error))
    measured = {"seconds": round(waveform.seconds, 4), "sample_rate": waveform.sample_rate}
    return Success(id=id, file=name, facts={**facts, **measured})


def reason(error: Exception) -> str:
    """Format an exception as the reason of a `Failure`."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def digest(path: Path) -> str:
    """Return the first 16 hex digits of the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _read_rows(path: Path) -> Iterator[Row]:
    """Read the rows of a log, ignoring an incomplete last line left by a killed process."""
    if not path.exists():
        return
    hint = "Remove the line, or the file to make everything again."
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        row = parse_json_object(line, f"{path}:{number}", hint=hint)
        if not (isinstance(row.get("id"), str) and isinstance(row.get("file"), str)):
            raise UserError(f"{path}:{number} has no id and file.", hint=hint)
        yield row


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    with atomic_write(path) as file:
        for row in rows:
            file.write(_dumped(row).encode(errors=_UNPAIRED))


def _dumped(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
