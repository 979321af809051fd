"""Reading what other projects wrote: weights without anything that could run, and settings."""

from __future__ import annotations

import json
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

# A schedule in numpy leaves its numbers in the optimizer's state.
_NUMBERS: list[Any] = [
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]


def read_pickled(path: Path) -> Mapping[str, Any]:
    """What `torch.save` wrote, where it holds tensors, numbers and strings and nothing that could run.

    Raises UserError for a file that holds anything else, or is damaged.
    """
    try:
        with torch.serialization.safe_globals(_NUMBERS):
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


def read_model(path: Path) -> dict[str, Tensor]:
    """The tensors of a model, which lie in the entry "model" of a file, or by themselves.

    What wrapped the model on several devices is no part of their names.
    """
    content = read_weights(path) if path.suffix == ".safetensors" else read_pickled(path)
    state = content.get("model", content)
    if isinstance(state, Mapping):
        tensors = {
            name.removeprefix("module."): tensor
            for name, tensor in state.items()
            if isinstance(name, str) and isinstance(tensor, Tensor)
        }
        if tensors:
            return tensors
    raise UserError(f"{path} holds no weights of a model.")


@frozen(kw_only=True)
class Settings:
    """A file of nested settings, whose entries are asked for as "table.entry"."""

    path: Path
    content: Mapping[str, Any]

    def at(self, dotted: str, default: Any = _REQUIRED) -> Any:
        """An entry; UserError where it is missing and there is no default."""
        here: Any = self.content
        for name in dotted.split("."):
            if not isinstance(here, Mapping) or name not in here:
                if default is not _REQUIRED:
                    return default
                raise UserError(f"{self.path} has no entry '{dotted}'.")
            here = here[name]
        return here


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


def read_yaml(path: Path) -> Settings:
    """A YAML mapping; UserError where it is none, or where nothing is installed that reads YAML."""
    try:
        import yaml
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs the package PyYAML.",
            hint="pip install 'allophone-fastspeech2[import]'",
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
