"""Weight files (safetensors): reading, atomic writing, storing as int8, and names with a prefix.

Names are those of `Module.state_dict`. In checkpoints they are prefixed with the name of the objective's module
("generator.encoder.weight"), in voices they are not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from allophone.errors import UserError
from allophone.files.atomic import atomic_path

_MAX_HEADER = 2**24
"""Bytes of a weight file's table of contents; that of a model with a hundred thousand tensors has fewer."""
_MAX_REASON = 200
_SCALE = ":scale"
"""Suffix of the scales of a tensor that is stored as int8."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weight file by name, on the CPU; UserError if it is missing or damaged.

    Those that `quantize` stored are float32 again.
    """
    if not path.is_file():
        raise UserError(f"There is no weight file {path}.")
    try:
        _check_header(path)
        return _dequantized(load_file(path, device="cpu"))
    # The header names types and shapes, for which safetensors and PyTorch raise errors of many kinds.
    except Exception as error:
        # It may quote the whole header.
        reason = textwrap.shorten(str(error), _MAX_REASON)
        raise UserError(
            f"The safetensors file {path} is truncated or corrupt: {reason}",
            hint="It was probably copied or downloaded incompletely; fetch it again.",
        ) from error


def _check_header(path: Path) -> None:
    """Raise ValueError if the length of the header, the first 8 bytes, cannot be right."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(_MAX_HEADER, path.stat().st_size - 8):
        raise ValueError(f"its header cannot have {length:,} bytes")


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors by name, atomically."""
    with atomic_path(path) as temporary:
        save_file(_storable(weights), temporary)


def quantize(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Store matrices and kernels as int8 with a scale per row, a quarter of their size: for `write_weights`.

    A row [C, K] becomes integers of at most 127 and `NAME:scale`, and is changed by up to 0.4 % of its largest value.
    Vectors stay as they are.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.dim() < 2 or not tensor.is_floating_point():
            stored[name] = tensor
            continue
        scale = tensor.float().flatten(1).abs().amax(1).clamp_min(1e-12) / 127
        stored[name] = (tensor.float() / _column(scale, tensor)).round().to(torch.int8)
        stored[name + _SCALE] = scale
    return stored


def _dequantized(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    weights = {name: tensor for name, tensor in stored.items() if not name.endswith(_SCALE)}
    for name, scale in stored.items():
        if name.endswith(_SCALE):
            key = name.removesuffix(_SCALE)
            weights[key] = stored[key].float() * _column(scale, stored[key])
    return weights


def _column(scale: Tensor, like: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (like.dim() - 1))


def add_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Prefix all names: "weight" becomes "<prefix>.weight"."""
    return {f"{prefix}.{name}": tensor for name, tensor in weights.items()}


def strip_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors with a prefix and remove it: the inverse of `add_prefix`."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in weights.items()
        if name.startswith(start)
    }


def _storable(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Move tensors to the CPU, copying those that share memory, which safetensors does not allow."""
    storable: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"'{name}' is {type(tensor).__name__}, not a tensor")
        stored = tensor.detach().cpu().contiguous()
        whole = stored.untyped_storage().nbytes() == stored.numel() * stored.element_size()
        if stored.untyped_storage().data_ptr() in seen or not whole:
            stored = stored.clone(memory_format=torch.contiguous_format)
        seen.add(stored.untyped_storage().data_ptr())
        storable[name] = stored
    return storable
