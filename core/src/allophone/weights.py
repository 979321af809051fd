"""Weight files: safe to read, whole or absent on disk, and compared with what a model expects.

A weight file is safetensors: tensors by name and nothing that could run. Names are those of
`Module.state_dict`; a checkpoint puts the name of the objective's module before them
("generator.encoder.weight"), a voice does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from attrs import frozen
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from allophone.atomic import named_whole
from allophone.errors import UserError, near_miss

_SHOWN = 8


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file by name, on the CPU; UserError when it is missing or damaged."""
    if not path.is_file():
        raise UserError(f"There is no weight file {path}.")
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is no whole safetensors file: {error}",
            hint="It was probably copied or downloaded in part; fetch it again.",
        ) from error


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors by name: the file appears whole, and on the disk, or not at all."""
    with named_whole(path) as temporary:
        save_file(_storable(weights), temporary)


def add_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The same tensors as a part of something: "weight" becomes "<prefix>.weight"."""
    return {f"{prefix}.{name}": tensor for name, tensor in weights.items()}


def strip_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one part, under their names in it: the inverse of `add_prefix`."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in weights.items()
        if name.startswith(start)
    }


@frozen(kw_only=True)
class Comparison:
    """How the weights at hand compare with those wanted, by name and shape.

    fitting: wanted, and there in the same shape.
    misshapen: wanted, and there in another shape, as (shape there, shape wanted).
    missing: wanted and not there.
    unexpected: there and not wanted.
    """

    fitting: tuple[str, ...]
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def exact(self) -> bool:
        """Whether all that is wanted is there, in its shape, and nothing else."""
        return not (self.misshapen or self.missing or self.unexpected)


def compare(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Comparison:
    """Compare weights with what a module's `state_dict` wants."""
    shared = [name for name in wanted if name in weights]
    return Comparison(
        fitting=tuple(name for name in shared if weights[name].shape == wanted[name].shape),
        misshapen={
            name: (tuple(weights[name].shape), tuple(wanted[name].shape))
            for name in shared
            if weights[name].shape != wanted[name].shape
        },
        missing=tuple(name for name in wanted if name not in weights),
        unexpected=tuple(name for name in weights if name not in wanted),
    )


@contextmanager
def uninitialised() -> Iterator[None]:
    """Build modules whose weights are about to be loaded: they hold whatever was in memory.

    Filling them would take longer than reading the weights.
    """
    with _NoInitialisation():
        yield


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
    """Put weights into a module that they must fit exactly.

    where: what they are, for the message: a file, a checkpoint.
    Raises UserError that names what is missing, unexpected or of another shape.
    """
    wanted = module.state_dict()
    comparison = compare(weights, wanted)
    if not comparison.exact:
        raise UserError(
            "\n".join([f"The weights of {where} do not fit the model:", *_complaints(comparison)]),
            hint="They were made with another configuration, or another version of the model.",
        )
    module.load_state_dict(dict(weights))


def _complaints(comparison: Comparison) -> list[str]:
    lines = []
    for name in comparison.missing[:_SHOWN]:
        meant = near_miss(name, comparison.unexpected) or ""
        lines.append(f"  missing: {name}. {meant if meant.startswith('Did') else ''}".rstrip())
    lines += _rest("missing", comparison.missing)
    lines += [f"  not in the model: {name}" for name in comparison.unexpected[:_SHOWN]]
    lines += _rest("not in the model", comparison.unexpected)
    for name, (there, wanted) in list(comparison.misshapen.items())[:_SHOWN]:
        lines.append(f"  of another shape: {name} is {list(there)}, the model has {list(wanted)}")
    return lines + _rest("of another shape", tuple(comparison.misshapen))


def _rest(kind: str, names: tuple[str, ...]) -> list[str]:
    return [f"  {kind}: {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []


def _storable(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, each with memory of its own: safetensors refuses what is shared."""
    storable: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"'{name}' is {type(tensor).__name__}, no tensor")
        stored = tensor.detach().cpu().contiguous()
        whole = stored.untyped_storage().nbytes() == stored.numel() * stored.element_size()
        if stored.untyped_storage().data_ptr() in seen or not whole:
            stored = stored.clone(memory_format=torch.contiguous_format)
        seen.add(stored.untyped_storage().data_ptr())
        storable[name] = stored
    return storable
