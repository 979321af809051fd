"""Helpers for corpus readers: locating folders, reading lists, and reporting missing files.

Public, for corpus readers in plugins. All functions raise UserError with the path and, for a line of a
file, its number. Imports the standard library and attrs only.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from allophone.corpora.config import CorpusConfig
from allophone.errors import UserError, shown
from allophone.files.regular import why_not_a_file


def corpus_root(config: CorpusConfig, *expected: str) -> Path:
    """Return the absolute root folder of a corpus, after checking that it holds the `expected` entries.

    Raises UserError with what was expected and what the folder holds.
    """
    root = Path(config.root).expanduser().absolute()
    if not root.is_dir():
        raise UserError(
            f"The corpus root {root} is not a folder.",
            hint="Set --root, or root in [[data.corpora]], to the folder that the corpus was "
            "unpacked to.",
        )
    require_inside(
        root,
        *expected,
        hint=f"The root must be the folder that contains {' and '.join(expected)}.",
    )
    return root


def require_inside(folder: Path, *expected: str, hint: str | None = None) -> None:
    """Raise UserError if a folder lacks one of the `expected` entries, listing what it holds."""
    for name in expected:
        if not (folder / name).exists():
            raise UserError(f"{folder} has no {name}: {_describe_contents(folder)}", hint=hint)


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the non-blank lines of a UTF-8 file as (location, line), the location as "file:12".

    Raises UserError if the file cannot be read or is empty.
    """
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty.")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line.rstrip("\r")


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, gzipped if it ends in `.gz`. Raises UserError if it cannot be read."""
    if wrong := why_not_a_file(path):
        raise UserError(f"The list cannot be read: {wrong}.")
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (OSError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8: {error}", hint="Convert it, for example with iconv."
        ) from error


def transcript(path: Path) -> str:
    """Read the text of a file, joined to one line.

    Returns "" if there is no file: extraction drops the utterance and reports it.
    """
    return " ".join(read_text(path).split()) if path.exists() else ""


def stems(folder: Path, *suffixes: str) -> list[str]:
    """Return the names of a folder's files with one of these suffixes, without it: unique and sorted.

    With the suffixes of both recordings and transcripts, the result includes missing recordings.
    """
    return sorted(
        {
            entry.name.removesuffix(suffix)
            for entry in folder.iterdir()
            for suffix in suffixes
            if entry.name.endswith(suffix)
        }
    )


def identifier(*parts: str) -> str:
    """Join file and folder names to an utterance id, replacing slashes and whitespace with "_"."""
    return re.sub(r"[/\\\s]+", "_", "_".join(parts))


def seconds(cell: object, column: str, where: str) -> float:
    """Parse a time in seconds. Raises UserError with the location if the cell is not a finite number."""
    try:
        number = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where}: {column} must be a number of seconds, not {shown(cell)}.")
    return number


def require_some(found: Sequence[object], folder: Path, expected: str) -> None:
    """Raise UserError if nothing was found in a folder, with what was expected and what it holds."""
    if not found:
        raise UserError(
            f"Found no utterances in {folder}: {_describe_contents(folder)}",
            hint=f"Expected: {expected}. Check that the corpus was unpacked completely.",
        )


def folders(path: Path) -> list[Path]:
    """Return the subfolders of a folder, sorted by name: the order on disk is arbitrary."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir())


def _describe_contents(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return "it is empty."
    return f"it contains {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
