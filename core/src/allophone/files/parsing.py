"""Reads JSON and TOML that anyone may have written, and checks strings from outside. Light.

All functions raise errors that name the file or the place in it. Deeply nested data is refused: Python's own
parsers, and everything that walks the data later, end with a RecursionError on it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

from allophone.errors import ConfigError, UserError, shown
from allophone.files.regular import why_not_a_file
from allophone.files.system_errors import told

DEEPEST = 32
"""Levels of nested tables and lists: several times as many as any real file has."""

_LARGEST = 100_000_000
"""Bytes of a file of settings."""


def parse_json(text: str | bytes, where: str, *, hint: str | None = None) -> Any:
    """Parse a JSON text. Raises UserError, with the location `where`, if it is invalid or nested too deep."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise UserError(too_deep(where), hint=hint) from None
    except ValueError as error:
        raise UserError(f"{where} is not valid JSON: {error}", hint=hint) from error
    if is_too_deep(value):
        raise UserError(too_deep(where), hint=hint)
    return value


def parse_json_object(text: str | bytes, where: str, *, hint: str | None = None) -> dict[str, Any]:
    """Like `parse_json`; also raises UserError for anything but an object."""
    value = parse_json(text, where, hint=hint)
    if not isinstance(value, dict):
        raise UserError(f"{where} is not a JSON object: {shown(value)}", hint=hint)
    return value


def read_json_object(path: Path, *, hint: str | None = None) -> dict[str, Any]:
    """Read a file that holds a JSON object. Raises UserError if it cannot be read or is invalid."""
    return parse_json_object(read_small(path, hint=hint), str(path), hint=hint)


def read_small(path: Path, *, hint: str | None = None) -> bytes:
    """Read a whole file of settings. Raises UserError if it cannot be read, or is too large to be one."""
    if wrong := why_not_a_file(path):
        raise UserError(f"A file cannot be read: {wrong}.", hint=hint)
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise UserError(
                f"{path} is too large for its kind: {size:,} bytes; expected at most {_LARGEST:,}.",
                hint=hint,
            )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", hint=hint) from error


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse a TOML text. Raises ConfigError, with the location `where`, if it is invalid or nested too deep."""
    import tomllib

    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(too_deep(where)) from None
    except ValueError as error:
        # Not only TOMLDecodeError: Python refuses numbers with thousands of digits.
        raise ConfigError(f"{where} is not valid TOML: {error}") from error
    if is_too_deep(tables):
        raise ConfigError(too_deep(where))
    return tables


def too_deep(where: str) -> str:
    """The message about data that is nested too deep."""
    return (
        f"{where} is nested too deep; expected at most {DEEPEST} tables and lists in one another."
    )


def is_too_deep(value: object) -> bool:
    """Whether plain data has more than `DEEPEST` tables and lists in one another."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST + 1):
        if not level:
            return False
        # By identity, since aliases of YAML can stand for the same list a billion times.
        inside = {
            id(item): item
            for node in level
            for item in (node.values() if isinstance(node, dict) else node)
            if isinstance(item, dict | list)
        }
        level = list(inside.values())
    return True


def why_not_text(value: object) -> str | None:
    """Why a value cannot be spoken, stored or passed to a library as a text; None for a valid text.

    The reason completes a sentence that begins with the name of the value.
    """
    if not isinstance(value, str):
        return f"must be a string, not {shown(value)}"
    if "\0" in value:
        return f"has a NUL character: {shown(value)}"
    try:
        value.isascii() or value.encode()
    except UnicodeEncodeError:
        return f"has an unpaired surrogate, which is half of a character: {shown(value)}"
    return None


@contextmanager
def other_content(message: str, *, hint: str) -> Iterator[None]:
    """Raise UserError if what is read has other content than was foreseen, for readers of many values.

    message: what cannot be read, without a full stop; what was raised is added. Errors of the system and
        of imports are not touched.
    """
    try:
        yield
    except UserError:
        raise
    # A value of another kind can raise anything.
    except Exception as error:
        if isinstance(error, ImportError) or told(error):
            raise
        reason = shorten(f"{type(error).__name__}: {error}", 300)
        raise UserError(f"{message}: {reason}", hint=hint) from error
