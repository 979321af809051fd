"""Reads weight files of other projects without executing code from them."""

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
from allophone.weights.files import read_weights

_SAFE_GLOBALS: list[Any] = [
    # Some trainers save paths among the hyperparameters.
    pathlib.PosixPath,
    (pathlib.PosixPath, "pathlib._local.PosixPath"),
    # A learning rate schedule computed with NumPy leaves scalars in the optimizer state.
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
]
"""Types that checkpoints hold besides tensors, and that cannot execute code when unpickled."""


def read_pickled(path: Path) -> Mapping[str, Any]:
    """Load a mapping written by `torch.save` on the CPU: tensors, numbers, strings and paths.

    Raises UserError if the file holds other objects, which could execute code, or is corrupt.
    """
    try:
        with torch.serialization.safe_globals(_SAFE_GLOBALS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} contains more than weights and is not loaded, for safety: {error}",
            hint="If you trust the file, load it in its own project and save only the weights.",
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} is truncated or not a PyTorch file: {error}") from error
    if not isinstance(content, Mapping):
        raise UserError(f"{path} contains a {type(content).__name__}; expected a dict of weights.")
    return content


def read_state_dict(
    path: Path, entry: str | None = None, *, bare: bool = False
) -> dict[str, Tensor]:
    """Read a state dict from a file written by `torch.save`, or from a safetensors file.

    entry: key of the state dict in the file; None if the file is the state dict itself.
    bare: whether to also accept a file that is the state dict itself.
    Raises UserError if there is no state dict.
    """
    content = read_weights(path) if path.suffix == ".safetensors" else read_pickled(path)
    if entry is None or (bare and entry not in content):
        return as_state_dict(content, path)
    if entry not in content:
        raise UserError(
            f"{path} is not a checkpoint of this format: it has no entry '{entry}'.",
            hint=f"It has: {', '.join(map(str, list(content)[:8]))}.",
        )
    return as_state_dict(content[entry], path)


def as_state_dict(state: object, path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict, without the prefix "module." of DistributedDataParallel.

    path: the file, for error messages.
    Raises UserError if `state` is not a mapping or has no tensors.
    """
    tensors = {}
    if isinstance(state, Mapping):
        tensors = {
            name.removeprefix("module."): tensor
            for name, tensor in state.items()
            if isinstance(name, str) and isinstance(tensor, Tensor)
        }
    if not tensors:
        raise UserError(f"{path} contains no weights in the expected entry.")
    return tensors
