"""TOML tables as plain data: reading, writing, merging, and setting one value by its path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from allophone.atomic import atomic_write
from allophone.errors import ConfigError, UserError

Plain = dict[str, Any]
"""What TOML can hold: str, int, float, bool, lists and tables of them."""


def read_toml(path: str | Path) -> Plain:
    """Read a TOML file; ConfigError with the line of a mistake."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from error


def write_toml(path: str | Path, plain: Mapping[str, Any]) -> None:
    """Write plain data as TOML, whole or not at all.

    The `toml` package loses what it can't write, so the text is read back and compared before the
    file takes its name.
    """
    import toml

    try:
        text = toml.dumps(dict(plain))
        intact = tomllib.loads(text) == plain
    except (IndexError, ValueError, TypeError):
        # The encoder stumbles over some invisible characters, and over what is no plain data.
        intact = False
    if not intact:
        raise UserError(
            f"{path} can't be written: the data does not survive being written as TOML.",
            hint="Lists of mixed types, None and invisible characters have no safe form.",
        )
    with atomic_write(Path(path)) as file:
        file.write(text.encode())


def merge(lower: Any, upper: Any) -> Any:
    """Lay one plain value over another: tables are merged key by key, everything else is replaced.

    A table that changes its `type` keeps nothing of the lower one, whose keys belong to another plugin.
    """
    if not (isinstance(lower, Mapping) and isinstance(upper, Mapping)):
        return upper
    if "type" in upper and "type" in lower and upper["type"] != lower["type"]:
        return dict(upper)
    merged = dict(lower)
    for key, value in upper.items():
        merged[key] = merge(lower[key], value) if key in lower else value
    return merged


def leaves(plain: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is no table, with its path: ("data.corpora.0.root", "...")."""
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(plain, list) and any(isinstance(item, Mapping) for item in plain):
        for index, item in enumerate(plain):
            yield from leaves(item, f"{path}.{index}")
    else:
        yield path, plain


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Split `a.b=value`; the value is TOML, and a word that is no TOML value stands for itself."""
    path, equals, text = assignment.partition("=")
    path = path.strip()
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", path):
        raise ConfigError(
            f"'{assignment}' sets nothing.",
            hint="Write --set table.key=value, for example --set runtime.precision=bf16",
        )
    try:
        return path, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if re.search(r"[\"'\[\]{}\n]", text):
            raise ConfigError(f"The value of '{assignment}' is no TOML: {error}") from error
        return path, text.strip()


def assign(plain: Plain, path: str, value: Any) -> Plain:
    """A copy of the data with one value set; numbers in the path count the items of a list."""
    assigned: Plain = _assign(plain, path.split("."), value, path)
    return assigned


def _assign(node: Any, keys: list[str], value: Any, path: str) -> Any:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(node, list):
        if not key.isdigit() or int(key) > len(node):
            raise ConfigError(
                f"--set {path}: '{key}' is no item of the list; it has {len(node)}.",
                hint="Items are counted from 0.",
            )
        items = list(node)
        below = items[int(key)] if int(key) < len(items) else {}
        items[int(key) : int(key) + 1] = [_assign(below, rest, value, path)]
        return items
    if node is not None and not isinstance(node, Mapping):
        raise ConfigError(f"--set {path}: there is a value, not a table, above '{key}'.")
    table = dict(node or {})
    if key == "type" and not rest and table.get("type") not in (None, value):
        return {"type": value}
    table[key] = _assign(table.get(key), rest, value, path)
    return table
