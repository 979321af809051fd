"""Which parameters learn, from which step, and how fast: the rules of `[[runtime.parameters]]`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from attrs import define, field, frozen
from torch import nn

from allophone.config.experiment import ParametersConfig
from allophone.errors import ConfigError, near_miss
from allophone.training.guards import LossRecord, Named
from allophone.training.objective import OptimizerPlan


@frozen(kw_only=True)
class Learning:
    """How a parameter learns.

    start: the step from which it learns; None for never.
    factor: factor for the learning rate.
    """

    start: int | None = 0
    factor: float = 1.0

    def at(self, step: int) -> bool:
        """Whether it learns at a step."""
        return self.start is not None and step >= self.start

    def warmed_up(self, step: int, warmup_steps: int) -> float:
        """Return the factor at a step: it rises linearly over `warmup_steps` from the first step of learning."""
        since = step - (self.start or 0)
        return self.factor * min(1.0, (since + 1) / max(1, warmup_steps))


@define(kw_only=True)
class GroupedOptimizer:
    """An optimizer with its plan and its losses in the current step.

    parameters: all of its parameters, also those that are frozen.
    groups: how the parameters of each group learn.
    configured: the options that each group was built with, including the learning rate.
    """

    plan: OptimizerPlan
    optimizer: torch.optim.Optimizer
    parameters: list[tuple[str, nn.Parameter]]
    groups: list[Learning]
    configured: list[dict[str, Any]]
    losses: list[LossRecord] = field(factory=list)

    @property
    def learning(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that learn in the current step."""
        return [(name, one) for name, one in self.parameters if one.requires_grad]

    def set_learning_rates(self, step: int, epoch: int, warmup_steps: int) -> None:
        """Apply the plan's schedule, the warm-up and the factors of the groups."""
        progress = step if self.plan.per == "step" else epoch
        scheduled = self.plan.schedule(progress) if self.plan.schedule else 1.0
        for group, learning, configured in zip(
            self.optimizer.param_groups, self.groups, self.configured, strict=True
        ):
            factor = scheduled * learning.warmed_up(step, warmup_steps)
            group["lr"] = configured["lr"] * factor


def learning_by_name(
    rules: Sequence[ParametersConfig], names: Iterable[str]
) -> dict[str, Learning]:
    """Return how each parameter learns; the last rule that matches its name applies.

    Raises ConfigError if a rule matches no name, or if no parameter would ever learn.
    """
    learning = dict.fromkeys(names, Learning())
    for rule in rules:
        matching = [name for name in learning if fnmatchcase(name, rule.match)]
        if not matching:
            modules = sorted({name.rpartition(".")[0] for name in learning})
            raise ConfigError(
                f"runtime.parameters: no parameter matches '{rule.match}'.",
                hint=near_miss(rule.match.rstrip(".*"), [*modules, *learning]),
            )
        start = None if rule.frozen else rule.frozen_until
        learning |= dict.fromkeys(matching, Learning(start=start, factor=rule.learning_rate_factor))
    if learning and all(one.start is None for one in learning.values()):
        raise ConfigError(
            "runtime.parameters: all parameters are frozen, so nothing would learn.",
            hint="Remove a rule, or use frozen_until.",
        )
    return learning


def group_alike(
    optimizer: torch.optim.Optimizer, parameters: Named, learning: Mapping[str, Learning]
) -> list[Learning]:
    """Divide the groups of an optimizer so that all parameters of a group learn alike.

    Returns how each group learns. Groups whose parameters already learn alike stay as they are.
    """
    name_of = {id(parameter): name for name, parameter in parameters}
    groups, kinds = [], []
    for group in optimizer.param_groups:
        by_kind: dict[Learning, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_kind.setdefault(learning[name_of[id(parameter)]], []).append(parameter)
        for kind, members in by_kind.items():
            groups.append({**group, "params": members})
            kinds.append(kind)
    optimizer.param_groups = groups
    return kinds
