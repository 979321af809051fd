"""Loads weights into modules: built without initialization, compared by name and shape, bounded in size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import frozen
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from allophone.errors import UserError, near_miss

_SHOWN = 8
_ROOM = 20


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
