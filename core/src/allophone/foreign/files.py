"""Reading other projects' weight files, without running anything that they hold."""

from __future__ import annotations

import pathlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from allophone.errors import UserError
from allophone.weights import read_weights

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
