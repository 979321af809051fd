"""Weight files (safetensors): reading, atomic writing, and checking against a model.

Names are those of `Module.state_dict`. In checkpoints they are prefixed with the name of the objective's module
("generator.encoder.weight"), in voices they are not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from allophone.errors import UserError, near_miss
from allophone.files.atomic import atomic_path

_SHOWN = 8
_MAX_HEADER = 2**24
"""Bytes of a weight file's table of contents; that of a model with a hundred thousand tensors has fewer."""
_MAX_REASON = 200
_ROOM = 20
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


@frozen(kw_only=True)
class Comparison:
    """How weights compare with those that a model expects, by name and shape.

    matching: expected names, present with the same shape.
    mismatched: expected names, present with another shape, as (actual shape, expected shape).
    missing: expected names that are not present.
    unexpected: names that are present but not expected.
    """

    matching: tuple[str, ...]
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether names and shapes are exactly those expected."""
        return not (self.mismatched or self.missing or self.unexpected)


def compare(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Comparison:
    """Compare weights with a module's `state_dict`."""
    shared = [name for name in wanted if name in weights]
    return Comparison(
        matching=tuple(name for name in shared if weights[name].shape == wanted[name].shape),
        mismatched={
            name: (tuple(weights[name].shape), tuple(wanted[name].shape))
            for name in shared
            if weights[name].shape != wanted[name].shape
        },
        missing=tuple(name for name in wanted if name not in weights),
        unexpected=tuple(name for name in weights if name not in wanted),
    )


@contextmanager
def skip_init() -> Iterator[None]:
    """Build modules with uninitialized weights, to be loaded afterwards.

    Initialization would take longer than reading the weights.
    """
    with _NoInitialisation():
        yield


@contextmanager
def bounded_by(weights: Mapping[str, Tensor], *, where: str) -> Iterator[None]:
    """Stop building a model that has far more parameters than there are weights for it.

    A configuration that nobody vouches for may ask for a hundred million layers. Parts that only training uses, and
    norms that are folded later, have parameters without weights, so there is ample room.

    Raises UserError.
    """
    tensors = _ROOM * len(weights) + 10_000
    numbers = _ROOM * sum(tensor.numel() for tensor in weights.values()) + 2**27

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal tensors, numbers
        tensors -= 1
        numbers -= 0 if parameter is None else parameter.numel()
        if min(tensors, numbers) < 0:
            raise UserError(
                f"The configuration of {where} describes a model that is many times as large as its weights.",
                hint="The configuration and the weights do not belong together.",
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


class _NoInitialisation(TorchFunctionMode):
    """Makes the functions of torch.nn.init do nothing."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], *, where: str) -> None:
    """Load weights into a module, which they must fit exactly.

    where: where they come from, for the message: a file, a checkpoint.

    Raises UserError that lists missing and unexpected names and shape mismatches, and for integers in place of
    floats, and NaN.
    """
    wanted = module.state_dict()
    comparison = compare(weights, wanted)
    if not comparison.exact:
        raise UserError(
            "\n".join([f"The weights of {where} do not fit the model:", *_mismatches(comparison)]),
            hint="They belong to another configuration, or to another version of the model.",
        )
    for name, tensor in weights.items():
        if tensor.is_floating_point() != wanted[name].is_floating_point():
            raise UserError(
                f"The weights of {where} do not fit the model: {name} has the type {tensor.dtype}, the model "
                f"{wanted[name].dtype}."
            )
        if bool(tensor.isnan().any()):
            raise UserError(
                f"The weights of {where} are unusable: {name} contains NaN.",
                hint="The training diverged, or the file was damaged: use an earlier checkpoint.",
            )
    module.load_state_dict(dict(weights))


def _mismatches(comparison: Comparison) -> list[str]:
    lines = []
    for name in comparison.missing[:_SHOWN]:
        meant = near_miss(name, comparison.unexpected) or ""
        lines.append(f"  missing: {name}. {meant if meant.startswith('Did') else ''}".rstrip())
    lines += _rest("missing", comparison.missing)
    lines += [f"  unexpected: {name}" for name in comparison.unexpected[:_SHOWN]]
    lines += _rest("unexpected", comparison.unexpected)
    for name, (actual, expected) in list(comparison.mismatched.items())[:_SHOWN]:
        lines.append(f"  shape mismatch: {name} is {list(actual)}, the model has {list(expected)}")
    return lines + _rest("shape mismatch", tuple(comparison.mismatched))


def _rest(kind: str, names: tuple[str, ...]) -> list[str]:
    return [f"  {kind}: {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []


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
