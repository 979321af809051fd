"""Reading other projects' settings, JSON and YAML. Light."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from allophone.errors import UserError

_REQUIRED = object()


@frozen(kw_only=True)
class Settings:
    """A table of settings in a file; what lies deeper is named with dots, "model.layers".

    path: the file, for messages.
    inside: in which of its tables this one lies, "" for the outermost.
    """

    path: Path
    content: Mapping[str, Any]
    inside: str = ""

    def __getitem__(self, name: str) -> Any:
        """An entry; UserError where it is missing."""
        value = self.get(name, _REQUIRED)
        if value is _REQUIRED:
            raise UserError(f"{self.path} has no entry '{self.inside}{name}'.")
        return value

    def __contains__(self, name: str) -> bool:
        return self.get(name, _REQUIRED) is not _REQUIRED

    def get(self, name: str, default: Any = None) -> Any:
        """An entry, or `default` where it is missing."""
        here: Any = self.content
        for part in name.split("."):
            if not isinstance(here, Mapping) or part not in here:
                return default
            here = here[part]
        return here

    def table(self, name: str) -> Settings:
        """A table below; UserError where it is missing or something else."""
        content = self[name]
        if not isinstance(content, Mapping):
            raise UserError(f"{self.path}: '{self.inside}{name}' is no table of settings.")
        return Settings(path=self.path, content=content, inside=f"{self.inside}{name}.")

    def optional_float(self, name: str) -> float | None:
        """A number that may be null; UserError where it is missing."""
        value = self[name]
        return None if value is None else float(value)


def read_json(path: Path) -> Settings:
    """A JSON object, in which comments and trailing commas are let pass; UserError where it is none."""
    text = _read(path)
    # What stands in a string is left alone, because strings are found first.
    other = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|,(?=(?:\s|//[^\n]*)*[}\]])')
    plain = other.sub(lambda found: found[0] if found[0].startswith('"') else "", text)
    try:
        content = json.loads(plain)
    except ValueError as error:
        raise UserError(f"{path} is no valid JSON: {error}") from error
    return _settings(path, content)


def peek_json(path: Path | None) -> Settings:
    """The same, but empty where there is nothing to read: to recognise a format by."""
    if path is None:
        return Settings(path=Path(), content={})
    try:
        return read_json(path)
    except UserError:
        return Settings(path=path, content={})


def read_yaml(path: Path) -> Settings:
    """A YAML mapping; UserError where it is none, or where nothing is installed that reads YAML."""
    try:
        import yaml
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs the package PyYAML.", hint="pip install pyyaml"
        ) from error
    text = _read(path)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no valid YAML: {error}") from error
    return _settings(path, content)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _settings(path: Path, content: object) -> Settings:
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no settings by name.")
    return Settings(path=path, content=content)
