"""What readers of corpora share: finding folders, reading lists, and saying what is missing."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

from allophone.corpora.config import CorpusConfig
from allophone.errors import UserError


def corpus_root(config: CorpusConfig, *expected: str) -> Path:
    """The root folder of a corpus, absolute, with the files and folders that must lie in it.

    UserError that says what was looked for, and what is there instead.
    """
    root = Path(config.root).expanduser().absolute()
    if not root.is_dir():
        raise UserError(
            f"There is no folder {root}.",
            hint="Set the corpus's root (--root, or root in [[data.corpora]]) to the folder that "
            "it was unpacked to.",
        )
    for name in expected:
        if not (root / name).exists():
            raise UserError(
                f"{root} has no {name}: {_what_is_there(root)}",
                hint=f"The root must be the folder that holds {' and '.join(expected)} themselves.",
            )
    return root


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a UTF-8 text that are not blank, each with where it stands, as "file:12".

    UserError for a file that cannot be read or has none.
    """
    text = read_text(path)
    if not text.strip():
        raise UserError(f"{path} is empty.")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", line.rstrip("\r")


def read_text(path: Path) -> str:
    """A whole UTF-8 text, which may be gzipped; UserError for what is none."""
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
    """The text beside one recording on one line; empty where there is none, to be reported later."""
    return " ".join(read_text(path).split()) if path.exists() else ""


def folders(path: Path) -> list[Path]:
    """The folders in a folder, sorted: the order that a disk gives is no order."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir())


def _what_is_there(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return "it is empty."
    return f"it holds {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
