"""Checks for training errors: losses and gradients that are not finite, missing or misplaced gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone.errors import UserError

Named = Sequence[tuple[str, nn.Parameter]]
"""Parameters with their full names, such as "generator.encoder.weight"."""

_SHOWN = 5
_AVERAGES = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum", "momentum_buffer"}
"""Entries of PyTorch's optimizers that have the shape of their parameter."""


@frozen(kw_only=True)
class LossRecord:
    """A loss and the ids of the utterances that it was computed on."""

    loss: Tensor
    ids: tuple[str, ...]


def check_finite(
    optimizer: str, step: int, losses: Sequence[LossRecord], norm: Tensor | None, parameters: Named
) -> None:
    """Raise FloatingPointError if a loss or the total gradient norm is not finite.

    norm: None if infinite gradients are expected and skipped, as with fp16.

    The message names the utterances of the batch and the parameters with such gradients. All values are
    read in one transfer, so that there is only one synchronization with the device per step.
    """
    values = [record.loss.detach().float() for record in losses]
    values += [] if norm is None else [norm.float()]
    if all(math.isfinite(value) for value in torch.stack(values).tolist()):
        return
    for record in losses:
        value = float(record.loss)
        if not math.isfinite(value):
            raise FloatingPointError(
                f"The loss of '{optimizer}' became {value} at step {step}, "
                f"on the batch of {_listed(record.ids)}."
            )
    broken = [
        name
        for name, parameter in parameters
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all())
    ]
    where = f"those of {_listed(broken, len(broken))}" if broken else "their norm overflows"
    ids = [id for record in losses for id in record.ids]
    raise FloatingPointError(
        f"The gradients of '{optimizer}' are not finite at step {step} ({where}), although the loss "
        f"is finite, on the batch of {_listed(ids, len(ids))}."
    )


def check_all_have_gradients(optimizer: str, parameters: Named) -> None:
    """Raise RuntimeError if a parameter of an optimizer has no gradient.

    With DistributedDataParallel, ranks would wait forever for the missing gradients.
    """
    missing = [name for name, parameter in parameters if parameter.grad is None]
    if missing:
        raise RuntimeError(
            f"The loss of '{optimizer}' does not depend on {_listed(missing)}. Every parameter must get "
            f"a gradient in every step: remove unused ones, or set their requires_grad to False."
        )


def check_no_gradients_left(optimizer: str, parameters: Named) -> None:
    """Raise RuntimeError if parameters have gradients after all optimizers have stepped."""
    left = [name for name, parameter in parameters if parameter.grad is not None]
    if left:
        raise RuntimeError(
            f"{_listed(left)} got gradients outside of rt.update('{optimizer}', ...). If a loss only "
            f"passes through these modules, compute it within `with rt.frozen(...)`."
        )


def _listed(names: Iterable[str], shown: int = _SHOWN) -> str:
    names = list(names)
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def check_state_fits(name: str, optimizer: torch.optim.Optimizer) -> None:
    """Raise UserError if a loaded state belongs to parameters of other shapes, which PyTorch does not check."""
    for parameter, state in optimizer.state.items():
        for key in _AVERAGES & state.keys():
            if state[key].shape != parameter.shape:
                raise UserError(
                    f"The state of the optimizer '{name}' belongs to another model: it has an average of "
                    f"shape {list(state[key].shape)} for a parameter of shape {list(parameter.shape)}.",
                    hint="Resume with the configuration of the run, or fine-tune from the checkpoint.",
                )
