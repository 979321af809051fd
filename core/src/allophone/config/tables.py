"""TOML as plain data: reading, writing, merging, and setting a value by its path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from allophone.errors import ConfigError, UserError
from allophone.files.atomic import atomic_write
from allophone.files.parsing import DEEPEST, parse_toml, too_deep
from allophone.files.regular import why_not_a_file

Plain = dict[str, Any]
"""TOML data: str, int, float, bool, and lists and tables of them."""


def read_toml(path: str | Path) -> Plain:
    """Read a TOML file. Raises ConfigError with the line of the first syntax error."""
    if Path(path).exists() and (wrong := why_not_a_file(path)):
        raise ConfigError(f"The TOML file cannot be read: {wrong}.")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: {error}") from error
    return parse_toml(text, str(path))


def write_toml(path: str | Path, plain: Mapping[str, Any]) -> None:
    """Write plain data as TOML, atomically.

    The `toml` package drops values that it cannot write, so the text is parsed and compared before the
    file is written. Raises UserError if they differ.
    """
    import toml

    try:
        text = toml.dumps(dict(plain))
        intact = tomllib.loads(text) == plain
    except (IndexError, ValueError, TypeError):
        # The encoder fails on some control characters and on anything but plain data.
        intact = False
    if not intact:
        raise UserError(
            f"{path} cannot be written: the data would change when written as TOML.",
            hint="Avoid None, lists of mixed types and control characters.",
        )
    with atomic_write(Path(path)) as file:
        file.write(text.encode())


def merge(lower: Any, upper: Any) -> Any:
    """Merge two plain values: tables key by key; anything else in `upper` replaces `lower`.

    A table with another `type` replaces the lower one, whose keys belong to another plugin.
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
    """Yield each value that is not a table, with its path: ("data.corpora.0.root", "...")."""
    if isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(plain, list) and any(isinstance(item, Mapping) for item in plain):
        for index, item in enumerate(plain):
            yield from leaves(item, f"{path}.{index}")
    else:
        yield path, plain


def parse_assignment(
    assignment: str, *, option: str = "--set", example: str = "runtime.precision=bf16"
) -> tuple[str, Any]:
    """Split `a.b=value`. The value is parsed as TOML; a bare word is taken as a string.

    option, example: what it is given as, and one that is valid, for error messages.
    """
    path, equals, text = assignment.partition("=")
    path = path.strip()
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", path):
        raise ConfigError(
            f"'{assignment}' is not a valid {option}; expected a name, '=' and a value.",
            hint=f"For example: {option} {example}",
        )
    if path.count(".") >= DEEPEST:
        raise ConfigError(too_deep(f"The path of {option}"))
    try:
        return path, parse_toml(f"value = {text}", f"The value of {option} {path}")["value"]
    except ConfigError:
        if re.search(r"[\"'\[\]{}\n]", text) or text.strip().isdecimal():
            raise
        return path, text.strip()


def assign(plain: Plain, path: str, value: Any) -> Plain:
    """Return a copy of the data with one value set; a number in the path is a list index."""
    assigned: Plain = _assign(plain, path.split("."), value, path)
    return assigned


def _assign(node: Any, keys: list[str], value: Any, path: str) -> Any:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(node, list):
        if not key.isdigit() or int(key) > len(node):
            raise ConfigError(
                f"--set {path}: '{key}' is not an index of the list, which has {len(node)} items.",
                hint="Indices start at 0.",
            )
        items = list(node)
        item = items[int(key)] if int(key) < len(items) else {}
        items[int(key) : int(key) + 1] = [_assign(item, rest, value, path)]
        return items
    if node is not None and not isinstance(node, Mapping):
        raise ConfigError(f"--set {path}: cannot set '{key}', because its parent is not a table.")
    table = dict(node or {})
    if key == "type" and not rest and table.get("type") not in (None, value):
        return {"type": value}
    table[key] = _assign(table.get(key), rest, value, path)
    return table
