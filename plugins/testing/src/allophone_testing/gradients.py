"""An objective whose gradients are looked at on their way to the optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from attrs import evolve
from torch import Tensor, nn

from allophone.config.experiment import RuntimeConfig
from allophone.data.batch import Batch
from allophone.training.objective import Metrics, Objective, OptimizerPlan, Runtime
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone.training.seeding import seed_everything

SEED = 1234


class GradientRecorder:
    """Steps as the objective that it wraps, on one rank and in float32, and keeps the gradients.

    learn: whether the optimizers do anything; without, all gradients are those of the first weights.
    repeatable: every micro-batch begins with the same random numbers and the same buffers, so that it
        gives the same gradients each time.

    gradients: those of the last step, by the names of the parameters, as `module.name`.
    """

    def __init__(self, objective: Objective, *, learn: bool, repeatable: bool) -> None:
        self.wrapped = objective
        self.features = objective.features
        self.modules: Mapping[str, nn.Module] = objective.modules
        self.gradients: dict[str, Tensor] = {}
        self._learn = learn
        self._repeatable = repeatable
        self._buffers = {
            module_name: {name: buffer.clone() for name, buffer in module.named_buffers()}
            for module_name, module in self.modules.items()
        }

    def runtime(self, config: RuntimeConfig, *, accumulate: int = 1) -> TrainerRuntime:
        """A runtime for it that does not clip."""
        plain = evolve(
            config, accumulate=accumulate, clip_norm=None, precision="fp32", compile=False
        )
        return TrainerRuntime(self, plain, Rank())

    def optimizers(self) -> Mapping[str, OptimizerPlan]:
        return {
            name: evolve(plan, optimizer=self._watched(plan), clip_norm=None)
            for name, plan in self.wrapped.optimizers().items()
        }

    def train_step(self, rt: Runtime, batch: Batch) -> Metrics:
        if self._repeatable:
            self._begin_again()
        return self.wrapped.train_step(rt, batch)

    def eval_step(self, rt: Runtime, batch: Batch) -> Metrics:
        return self.wrapped.eval_step(rt, batch)

    def parameters(self) -> dict[str, nn.Parameter]:
        """All that is to be trained, by name."""
        return {
            f"{module_name}.{name}": parameter
            for module_name, module in self.modules.items()
            for name, parameter in module.named_parameters()
            if parameter.requires_grad
        }

    def _watched(
        self, plan: OptimizerPlan
    ) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
        names = {id(parameter): name for name, parameter in self.parameters().items()}

        def keep(optimizer: torch.optim.Optimizer, *_: object) -> None:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self.gradients[names[id(parameter)]] = parameter.grad.clone()

        def build(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            given = list(parameters)
            optimizer = plan.optimizer(given) if self._learn else torch.optim.SGD(given, lr=0.0)
            optimizer.register_step_pre_hook(keep)
            return optimizer

        return build

    def _begin_again(self) -> None:
        seed_everything(SEED)
        for module_name, module in self.modules.items():
            for name, buffer in module.named_buffers():
                buffer.data.copy_(self._buffers[module_name][name])
