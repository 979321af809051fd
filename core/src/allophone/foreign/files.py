"""Reading other projects' files: weights without anything that could run, and settings."""

from __future__ import annotations

import json
import pathlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen
from torch import Tensor

from allophone.errors import UserError
from allophone.weights import read_weights

_REQUIRED = object()

_HARMLESS: list[Any] = [
    # Trainers leave the paths of their data among the hyperparameters.
    pathlib.PosixPath,
    (pathlib.PosixPath, "pathlib._local.PosixPath"),
    # A schedule in numpy leaves its numbers in the optimizer's state.
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]
"""What checkpoints hold beside tensors, and what nothing can be run by."""


def read_pickled(path: Path) -> Mapping[str, Any]:
    """What `torch.save` wrote, by name, on the CPU: tensors, numbers, strings and paths.

    Raises UserError for a file that holds anything that could run, or is damaged.
    """
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than weights, and is not opened for safety: {error}",
            hint="If you trust it, open it in its own project and save its weights alone.",
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} is no whole PyTorch file: {error}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no weights by name.")
    return content


def read_module(path: Path, entry: str | None = None, *, bare: bool = False) -> dict[str, Tensor]:
    """The tensors of a module, by the names of its `state_dict`.

    path: what `torch.save` wrote, or a safetensors file.
    entry: under which they lie there; None for a file of nothing else.
    bare: whether they may also lie there by themselves.
    Raises UserError where there are none.
    """
    content = read_weights(path) if path.suffix == ".safetensors" else read_pickled(path)
    if entry is None or (bare and entry not in content):
        return tensors_of(content, path)
    if entry not in content:
        raise UserError(
            f"{path} has no entry '{entry}', so it is no checkpoint of this format.",
            hint=f"It has: {', '.join(map(str, list(content)[:8]))}.",
        )
    return tensors_of(content[entry], path)


def tensors_of(state: object, path: Path) -> dict[str, Tensor]:
    """The tensors in a module's state; what wrapped it on several devices is no part of their names.

    Raises UserError, naming the file, where there are none.
    """
    tensors = {}
    if isinstance(state, Mapping):
        tensors = {
            name.removeprefix("module."): tensor
            for name, tensor in state.items()
            if isinstance(name, str) and isinstance(tensor, Tensor)
        }
    if not tensors:
        raise UserError(f"{path} holds no weights of a model where they are looked for.")
    return tensors


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
