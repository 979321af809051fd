"""AdamW and learning rate schedules.

A schedule is a function from the number of finished steps (or epochs) to a factor for the learning rate. It
has no state to save in a checkpoint.
"""

from __future__ import annotations

import math
from inspect import unwrap
from typing import Literal, TypeVar, cast

import torch

from allophone.training.objective import OptimizerPlan, Schedule

_Optimizer = TypeVar("_Optimizer", bound=torch.optim.Optimizer)


def eager(optimizer: type[_Optimizer]) -> type[_Optimizer]:
    """An optimizer class without the decorators for `torch.compile`.

    Those import the compiler, which takes each process 3.5 s of CPU. The runtime compiles modules, not optimizers.
    """
    methods = {
        name: unwrap(getattr(optimizer, name))
        for name in ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
    }
    step = torch.no_grad()(unwrap(optimizer.step))
    return cast(
        "type[_Optimizer]", type(optimizer.__name__, (optimizer,), {**methods, "step": step})
    )


AdamW = eager(torch.optim.AdamW)


def adamw(
    *modules: str,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    schedule: Schedule | None = None,
    per: Literal["step", "epoch"] = "step",
    clip_norm: float | None = None,
) -> OptimizerPlan:
    """Plan AdamW for some modules (Loshchilov and Hutter 2019); without weight decay it is Adam."""
    return OptimizerPlan(
        modules=modules,
        optimizer=lambda parameters: AdamW(
            parameters,
            lr=learning_rate,
            betas=betas,
            eps=epsilon,
            weight_decay=weight_decay,
            fused=True,  # About five times as fast, on CPUs too.
        ),
        schedule=schedule,
        per=per,
        clip_norm=clip_norm,
    )


def exponential(decay: float) -> Schedule:
    """Exponential decay: multiplies the rate by `decay` at each step or epoch (VITS: 0.999875 per epoch)."""
    return lambda step: decay**step


def linear_warmup(warmup: int) -> Schedule:
    """Linear warmup over `warmup` steps, then constant."""
    return lambda step: min(1.0, (step + 1) / max(1, warmup))


def noam(warmup: int) -> Schedule:
    """Linear warmup over `warmup` steps, then decay with the inverse square root of the step.

    From Vaswani et al. 2017, section 5.3, but scaled to a maximum of 1: the optimizer's learning rate takes
    the place of d_model^-0.5 warmup^-0.5.
    """
    peak = max(1, warmup)
    return lambda step: min((step + 1) / peak, math.sqrt(peak / (step + 1)))


def cosine(warmup: int, total: int, *, floor: float = 0.0) -> Schedule:
    """Linear warmup over `warmup` steps, then cosine decay to `floor` at step `total`, then constant.

    floor: final factor.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return factor
