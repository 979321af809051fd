"""Reads JSON and YAML settings of other projects. Imports the standard library and attrs only."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from allophone.errors import UserError
from allophone.files.parsing import is_too_deep, parse_json, read_small, too_deep

_REQUIRED = object()


@frozen(kw_only=True)
class Settings:
    """A mapping of settings from a file. Nested values have dotted names: "model.layers".

    path: the file, for error messages.
    prefix: dotted name of this table in the file, with a trailing dot; "" for the whole file.
    """

    path: Path
    content: Mapping[str, Any]
    prefix: str = ""

    def __getitem__(self, name: str) -> Any:
        """Return a value. Raises UserError if it is missing."""
        value = self.get(name, _REQUIRED)
        if value is _REQUIRED:
            raise UserError(f"{self.path} has no entry '{self.prefix}{name}'.")
        return value

    def __contains__(self, name: str) -> bool:
        return self.get(name, _REQUIRED) is not _REQUIRED

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, or `default` if it is missing."""
        value: Any = self.content
        for part in name.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return default
            value = value[part]
        return value

    def table(self, name: str) -> Settings:
        """Return a nested table. Raises UserError if it is missing or not a table."""
        content = self[name]
        if not isinstance(content, Mapping):
            raise UserError(f"{self.path}: '{self.prefix}{name}' is not a table of settings.")
        return Settings(path=self.path, content=content, prefix=f"{self.prefix}{name}.")

    def optional_float(self, name: str) -> float | None:
        """Return a number, or None for null. Raises UserError if it is missing."""
        value = self[name]
        return None if value is None else float(value)


def read_json(path: Path) -> Settings:
    """Read a JSON object, allowing comments and trailing commas. Raises UserError if it is invalid."""
    text = _read(path)
    # Strings match first, so comments and commas inside them are kept.
    tokens = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|,(?=(?:\s|//[^\n]*)*[}\]])')
    plain = tokens.sub(lambda match: match[0] if match[0].startswith('"') else "", text)
    return _settings(path, parse_json(plain, str(path)))


def peek_json(path: Path | None) -> Settings:
    """Like `read_json`, but return empty settings if there is nothing to read: for format detection."""
    if path is None:
        return Settings(path=Path(), content={})
    try:
        return read_json(path)
    except UserError:
        return Settings(path=path, content={})


def read_yaml(path: Path) -> Settings:
    """Read a YAML mapping. Raises UserError if it is invalid or PyYAML is not installed."""
    try:
        import yaml
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs the package PyYAML.", hint="pip install pyyaml"
        ) from error
    text = _read(path)
    try:
        content = yaml.safe_load(text)
    except RecursionError:
        raise UserError(too_deep(str(path))) from None
    # Values such as the date 2026-99-99 raise ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    if is_too_deep(content):
        raise UserError(too_deep(str(path)))
    return _settings(path, content)


def _read(path: Path) -> str:
    try:
        return read_small(path).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _settings(path: Path, content: object) -> Settings:
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path} contains a {type(content).__name__}; expected a mapping of settings."
        )
    return Settings(path=path, content=content)
