"""What must not go on unnoticed: numbers that are not finite, gradients that leak or get lost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from attrs import frozen
from torch import Tensor, nn

Named = Sequence[tuple[str, nn.Parameter]]
"""Parameters with the names that the user knows them by, "generator.encoder.weight"."""

_SHOWN = 5


@frozen(kw_only=True)
class SeenLoss:
    """A loss that went backward, and the utterances it was computed on."""

    loss: Tensor
    ids: tuple[str, ...]


def check_finite(
    optimizer: str, step: int, losses: Sequence[SeenLoss], norm: Tensor | None, parameters: Named
) -> None:
    """Raise FloatingPointError where a loss, or the norm of all gradients, is not finite.

    norm: None where infinite gradients are expected and skipped, as with fp16.
    The message names the utterances of the batch, and the parameters whose gradients are not finite.
    Everything is read off the device at once, so that it waits once a step.
    """
    values = [seen.loss.detach().float() for seen in losses]
    values += [] if norm is None else [norm.float()]
    if all(math.isfinite(value) for value in torch.stack(values).tolist()):
        return
    for seen in losses:
        value = float(seen.loss)
        if not math.isfinite(value):
            raise FloatingPointError(
                f"The loss of '{optimizer}' became {value} at step {step}, "
                f"on the batch of {_listed(seen.ids)}."
            )
    broken = [
        name
        for name, parameter in parameters
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all())
    ]
    where = f"those of {_listed(broken, len(broken))}" if broken else "their norm overflows"
    ids = [id for seen in losses for id in seen.ids]
    raise FloatingPointError(
        f"The gradients of '{optimizer}' are not finite at step {step} ({where}), though its loss "
        f"is, on the batch of {_listed(ids, len(ids))}."
    )


def check_reached(optimizer: str, parameters: Named) -> None:
    """Raise RuntimeError where a loss did not reach some of the parameters that it is to train.

    Under DistributedDataParallel the ranks would wait for the gradients that never come.
    """
    lost = [name for name, parameter in parameters if parameter.grad is None]
    if lost:
        raise RuntimeError(
            f"The loss of '{optimizer}' does not reach {_listed(lost)}. Each parameter must take part "
            f"in every step, or not be there: remove it, or set requires_grad to False."
        )


def check_nothing_leaked(optimizer: str, parameters: Named) -> None:
    """Raise RuntimeError where gradients are left after all optimizers have stepped."""
    leaked = [name for name, parameter in parameters if parameter.grad is not None]
    if leaked:
        raise RuntimeError(
            f"Gradients reached {_listed(leaked)} outside of rt.update('{optimizer}', ...). Wrap what "
            f"only passes through these modules in `with rt.frozen(...)`."
        )


def _listed(names: Iterable[str], shown: int = _SHOWN) -> str:
    names = list(names)
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")
