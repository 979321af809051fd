"""The implementation of `objective.Runtime`, which runs training steps.

One step runs `accumulate` micro-batches through the objective's `train_step`; the optimizers step in the
last one.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from allophone.config.experiment import RuntimeConfig
from allophone.data.batch import Batch
from allophone.errors import ConfigError, PluginError, UserError, near_miss
from allophone.events import SampleAudio, SampleImage
from allophone.training.guards import (
    LossRecord,
    check_all_have_gradients,
    check_finite,
    check_no_gradients_left,
    check_state_fits,
)
from allophone.training.objective import Metrics, Objective, OptimizerPlan, optional
from allophone.training.parameters import GroupedOptimizer, group_alike, learning_by_name
from allophone.training.ranks import Rank

_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TrainerRuntime:
    """Runs the steps of an objective on one rank.

    The objective's modules are moved to the device, compiled in place if configured, and wrapped in
    DistributedDataParallel if there are several ranks. Buffers are not broadcast: a GAN runs its
    discriminator twice per step, and a broadcast in between would overwrite buffers that the backward
    pass of the first run needs. Checkpoints hold the buffers of rank 0.

    step: number of optimizer steps so far.
    epoch: current epoch, set by the training loop for schedules per epoch.
    """

    def __init__(self, objective: Objective, config: RuntimeConfig, rank: Rank) -> None:
        self.rank = rank
        self.step = 0
        self.epoch = 0
        self.objective = objective
        self._config = config
        self._dtype = _dtype(config.precision, rank.device)
        self._scaler = GradScaler(rank.device.type, enabled=self._dtype == torch.float16)
        self.modules = dict(objective.modules)
        if config.compile:
            # torch 2.14 cannot trace the __init__ of attrs classes. With this setting, code that fails to
            # compile runs in eager mode, with a warning.
            torch._dynamo.config.suppress_errors = True
        for module in self.modules.values():
            module.to(rank.device).train()
            if config.compile:
                module.compile()
        self._learning = learning_by_name(
            config.parameters,
            [name for name, one in self._named(*self.modules) if one.requires_grad],
        )
        self._starts = {one.start for one in self._learning.values()}
        self._optimizers = {
            name: self._build(name, plan) for name, plan in objective.optimizers().items()
        }
        self._wrapped: dict[str, nn.Module] = {}
        self._freeze()
        self._batch_ids: tuple[str, ...] = ()
        self._updated: set[str] = set()
        self._last_of_step = True
        self._step_metrics: dict[str, float | Tensor] = {}

    # Methods of `objective.Runtime`.

    @property
    def device(self) -> torch.device:
        return self.rank.device

    def __getitem__(self, module: str) -> nn.Module:
        return self._wrapped[_known("module", module, self._wrapped)]

    def autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(
            self.device.type, dtype=self._dtype, enabled=self._dtype != torch.float32
        )

    def update(self, optimizer: str, loss: Tensor) -> None:
        state = self._optimizers[_known("optimizer", optimizer, self._optimizers)]
        if loss.ndim != 0:
            raise ValueError(f"The loss of '{optimizer}' must be a scalar, not {list(loss.shape)}.")
        if optimizer in self._updated:
            raise RuntimeError(f"rt.update('{optimizer}', ...) may be called only once per batch.")
        self._updated.add(optimizer)
        if not state.learning:
            return
        state.losses.append(LossRecord(loss=loss.detach(), ids=self._batch_ids))
        torch.autograd.backward(self._scaler.scale(loss / self._config.accumulate))
        if self._last_of_step:
            self._step_optimizer(optimizer, state)

    def mean(self, total: Tensor, count: Tensor) -> Tensor:
        return total / self.rank.mean(count.float()).clamp(min=1)

    @contextmanager
    def frozen(self, *modules: str) -> Iterator[None]:
        with ExitStack() as stack:
            for name in modules:
                # Otherwise the DDP reducer would wait for gradients of the frozen parameters.
                stack.enter_context(_no_sync(self[name]))
                stack.enter_context(_without_gradients(self.modules[name]))
            yield

    # Methods of the training loop.

    def take_step(self, batches: Sequence[Batch]) -> list[Metrics]:
        """Run one optimizer step over some micro-batches; returns the detached metrics of each.

        An optimizer steps in its `update` call on the last micro-batch. Code after that call in the same
        `train_step`, such as the generator's loss in a GAN, uses the updated weights; on the earlier
        micro-batches it uses the old ones.
        """
        assert len(batches) == self._config.accumulate
        if self.step in self._starts:
            self._freeze()
        metrics: list[Metrics] = []
        self._step_metrics = {}
        for number, batch in enumerate(batches, start=1):
            self._batch_ids, self._updated = batch.ids, set()
            self._last_of_step = number == len(batches)
            with ExitStack() as stack:
                if not self._last_of_step:
                    for module in self._wrapped.values():
                        stack.enter_context(_no_sync(module))
                stack.enter_context(_errors_list_rows(batch))
                returned = self.objective.train_step(self, batch.to(self.device))
            metrics.append({name: _detached(value) for name, value in returned.items()})
        for name, state in self._optimizers.items():
            check_no_gradients_left(name, state.learning)
        if self._scaler.is_enabled():
            self._scaler.update()
            self._check_scale()
        self.step += 1
        metrics[-1] = {**metrics[-1], **self._step_metrics}
        return metrics

    def evaluate(self, batch: Batch) -> Metrics:
        """Return the objective's validation metrics of a batch; call it within `evaluating`."""
        with _errors_list_rows(batch):
            return self.objective.eval_step(self, batch.to(self.device))

    def sample(self, batch: Batch) -> Mapping[str, SampleAudio | SampleImage]:
        """Return the objective's samples of a batch, if it makes any; call it within `evaluating`."""
        sample = optional(self.objective, "sample")
        with _errors_list_rows(batch):
            return sample(self, batch.to(self.device)) if sample else {}

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Context manager for eval mode without gradients; restores the mode of each submodule on exit."""
        modes = [
            (submodule, submodule.training)
            for module in self.modules.values()
            for submodule in module.modules()
        ]
        for module in self.modules.values():
            module.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for submodule, training in modes:
                submodule.training = training

    def state_dict(self) -> dict[str, Any]:
        """Return the training state other than the weights."""
        return {
            "step": self.step,
            "scaler": self._scaler.state_dict(),
            "optimizers": {
                name: {"state": state.optimizer.state_dict(), "configured": state.configured}
                for name, state in self._optimizers.items()
            },
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Load a saved state. Optimizer options that have changed in the config take their new values."""
        if saved["optimizers"].keys() != self._optimizers.keys():
            raise UserError(
                f"The checkpoint has the optimizers {sorted(saved['optimizers'])}, but the objective has "
                f"{sorted(self._optimizers)}.",
                hint="Resume with the configuration of the run, or fine-tune from the checkpoint.",
            )
        self.step = saved["step"]
        self._freeze()
        if saved["scaler"]:  # Empty if the precision was not fp16.
            self._scaler.load_state_dict(saved["scaler"])
        for name, state in self._optimizers.items():
            kept = saved["optimizers"][name]["state"]
            sizes = [len(group["params"]) for group in kept["param_groups"]]
            if sizes != [len(group["params"]) for group in state.optimizer.param_groups]:
                raise UserError(
                    f"The checkpoint has other groups of parameters for the optimizer '{name}'.",
                    hint="Resume with the runtime.parameters of the run, or fine-tune from the checkpoint.",
                )
            state.optimizer.load_state_dict(kept)
            check_state_fits(name, state.optimizer)
            before = saved["optimizers"][name]["configured"]
            for group, old, new in zip(
                state.optimizer.param_groups, before, state.configured, strict=True
            ):
                group.update({key: new[key] for key in new if new[key] != old.get(key)})

    def _named(self, *modules: str) -> list[tuple[str, nn.Parameter]]:
        """Return the parameters of some modules with their full names."""
        return [
            (f"{module}.{name}", parameter)
            for module in modules
            for name, parameter in self.modules[module].named_parameters()
        ]

    def _freeze(self) -> None:
        """Freeze the parameters that do not learn at this step, and wrap the modules accordingly.

        DistributedDataParallel waits only for the parameters that learn when a module is wrapped.
        """
        for name, module in self.modules.items():
            changed = False
            for full, parameter in self._named(name):
                if full in self._learning:
                    learns = self._learning[full].at(self.step)
                    changed |= parameter.requires_grad != learns
                    parameter.requires_grad_(learns)
            if changed or name not in self._wrapped:
                self._wrapped[name] = self._wrap(module)

    def _wrap(self, module: nn.Module) -> nn.Module:
        trainable = any(parameter.requires_grad for parameter in module.parameters())
        if self.rank.world_size == 1 or not trainable:
            return module
        on_gpu = self.device.type == "cuda"
        with warnings.catch_warnings():
            # torch 2.14 deprecates `broadcast_buffers`, but torch 2.11 does not have its replacement.
            warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
            return DistributedDataParallel(
                module,
                device_ids=[self.device.index] if on_gpu else None,
                broadcast_buffers=False,
                gradient_as_bucket_view=True,
            )

    def _build(self, name: str, plan: OptimizerPlan) -> GroupedOptimizer:
        if unknown := [module for module in plan.modules if module not in self.modules]:
            raise PluginError(
                f"The optimizer '{name}' refers to the module '{unknown[0]}', which does not exist.",
                hint=near_miss(unknown[0], self.modules),
            )
        parameters = [
            (full, parameter)
            for full, parameter in self._named(*plan.modules)
            if full in self._learning
        ]
        try:
            optimizer = plan.optimizer(parameter for _, parameter in parameters)
        except ValueError as error:
            raise ConfigError(
                f"The optimizer '{name}' refuses its settings: {error}.",
                hint="In [trainer], learning_rate and epsilon must not be negative, and betas lie between 0 "
                "and 1, without 1.",
            ) from error
        groups = group_alike(optimizer, parameters, self._learning)
        configured = [
            {key: value for key, value in group.items() if key != "params"}
            for group in optimizer.param_groups
        ]
        return GroupedOptimizer(
            plan=plan,
            optimizer=optimizer,
            parameters=parameters,
            groups=groups,
            configured=configured,
        )

    def _step_optimizer(self, name: str, state: GroupedOptimizer) -> None:
        """Check and clip the gradients of one optimizer, step it, and clear them."""
        learning = state.learning
        gradients = [p.grad for _, p in learning if p.grad is not None]
        if self.rank.world_size > 1 or not gradients:
            check_all_have_gradients(name, learning)
        self._scaler.unscale_(state.optimizer)
        norm = get_total_norm(gradients)
        expected = None if self._scaler.is_enabled() else norm
        check_finite(name, self.step, state.losses, expected, learning)
        limit = state.plan.clip_norm or self._config.clip_norm
        if limit is not None:
            clip_grads_with_norm_([p for _, p in learning], limit, norm)
        state.set_learning_rates(self.step, self.epoch, self._config.warmup_steps)
        self._scaler.step(state.optimizer)
        # If `train_step` runs in a single autocast, its cache still holds casts of the old weights.
        torch.clear_autocast_cache()
        state.optimizer.zero_grad(set_to_none=True)
        state.losses.clear()
        self._step_metrics[f"gradient_norm/{name}"] = norm
        self._step_metrics[f"learning_rate/{name}"] = max(
            group["lr"]
            for group, learning in zip(state.optimizer.param_groups, state.groups, strict=True)
            if learning.at(self.step)
        )

    def _check_scale(self) -> None:
        scale = self._scaler.get_scale()
        self._step_metrics["loss_scale"] = scale
        if scale < 1:
            raise FloatingPointError(
                f"The gradients are not finite at step {self.step} even with a loss scale below 1, on "
                f"the batch of {', '.join(self._batch_ids)}."
            )


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(False):
        raise UserError(
            f"{torch.cuda.get_device_name(device)} does not support bf16.",
            hint="Set runtime.precision to fp16 or fp32.",
        )
    return _PRECISIONS[precision]


def _no_sync(module: nn.Module) -> AbstractContextManager[None]:
    """Disable the gradient synchronization of a DDP module."""
    return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()


@contextmanager
def _errors_list_rows(batch: Batch) -> Iterator[None]:
    """Add the utterance id of each batch row to UserErrors, which may name rows by number."""
    try:
        yield
    except UserError as error:
        rows = ", ".join(f"{row} {id}" for row, id in enumerate(batch.ids))
        message = f"{error.message} The rows of this batch are: {rows}."
        raise type(error)(message, hint=error.hint) from error


@contextmanager
def _without_gradients(module: nn.Module) -> Iterator[None]:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def _detached(value: Tensor | float) -> Tensor | float:
    return value.detach() if isinstance(value, Tensor) else value


def _known(kind: str, name: str, known: Mapping[str, Any]) -> str:
    if name not in known:
        raise KeyError(f"The objective has no {kind} '{name}'. {near_miss(name, known)}")
    return name
