"""What readers of corpora share: finding folders, reading lists, and saying what is missing.

This is the public toolbox of a plugin's reader. All of it raises UserError with the path, and for a line
of a file with its number. Light: standard library and attrs.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from allophone.corpora.config import CorpusConfig
from allophone.errors import UserError


def corpus_root(config: CorpusConfig, *expected: str) -> Path:
    """The root folder of a corpus, absolute, with the files and folders that must lie in it.

    Raises UserError that says what was expected, and what is there instead.
    """
    root = Path(config.root).expanduser().absolute()
    if not root.is_dir():
        raise UserError(
            f"There is no folder {root}.",
            hint="Set the corpus's root (--root, or root in [[data.corpora]]) to the folder that "
            "it was unpacked to.",
        )
    require_inside(
        root,
        *expected,
        hint=f"The root must be the folder right above {' and '.join(expected)}.",
    )
    return root


def require_inside(folder: Path, *expected: str, hint: str | None = None) -> None:
    """Raise UserError where a folder lacks one of some files and folders, saying what it has instead."""
    for name in expected:
        if not (folder / name).exists():
            raise UserError(f"{folder} has no {name}: {_what_is_there(folder)}", hint=hint)


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a UTF-8 text that are not blank, each with where it stands, as "file:12".

    Raises UserError for a file that cannot be read or is empty.
    """
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty.")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line.rstrip("\r")


def read_text(path: Path) -> str:
    """A whole UTF-8 text, which may be gzipped; UserError for anything else."""
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


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text; UserError that says where, for invalid JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not valid JSON: {error}") from error


def transcript(path: Path) -> str:
    """The text in a file on one line; empty where there is no file, which extraction reports."""
    return " ".join(read_text(path).split()) if path.exists() else ""


def stems(folder: Path, *suffixes: str) -> list[str]:
    """The names of the files in a folder that end in one of these suffixes, without it: sorted, each once.

    Given the suffixes of recordings and of texts, a recording that is missing is listed too.
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
    """An utterance's id, made from the names of its files and folders, which may have spaces."""
    return re.sub(r"[/\\\s]+", "_", "_".join(parts))


def seconds(cell: object, column: str, where: str) -> float:
    """A time in a table or a JSON file; UserError that says where, for anything but a number."""
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(f"{where}: {column} must be a number of seconds, not '{cell}'.") from None


def require_some(found: Sequence[object], folder: Path, expected: str) -> None:
    """Raise UserError where nothing was found in a folder, saying what was expected and what is there."""
    if not found:
        raise UserError(
            f"There is nothing to read in {folder}: {_what_is_there(folder)}",
            hint=f"Expected: {expected}. Was the corpus unpacked completely?",
        )


def folders(path: Path) -> list[Path]:
    """The folders in a folder, sorted: a disk lists them in any order."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir())


def _what_is_there(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return "it is empty."
    return f"it holds {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
