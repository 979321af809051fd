"""An exponential moving average of weights, which often sounds better than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from allophone.weights import load_weights


class MovingAverage:
    """The average of a module's weights over its steps; buffers and whole numbers are followed as they are.

    decay: what is kept of the average at each step, once enough have been taken; before that less, as
        (1 + step) / (10 + step), so that the random beginning is soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        self._parameters = {name for name, _ in module.named_parameters()}
        self._averages = {name: tensor.clone() for name, tensor in self._current().items()}

    def _current(self) -> dict[str, Tensor]:
        """The module's tensors, each once: tied weights under the first of their names."""
        unique: dict[int, str] = {}
        state = self.module.state_dict()
        for name, tensor in state.items():
            unique.setdefault(tensor.data_ptr(), name)
        return {name: state[name] for name in unique.values()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take the module's weights after optimizer step number `step` into the average."""
        current = self._current()
        averaged = [name for name in current if name in self._parameters]
        decay = min(self.decay, (1 + step) / (10 + step))
        average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        average(
            [self._averages[name] for name in averaged], [current[name] for name in averaged], step
        )
        for name in current.keys() - self._parameters:
            self._averages[name].copy_(current[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the averages in the module, and its own weights back afterwards."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, tensor in self._current().items():
            own = tensor.clone()
            tensor.copy_(self._averages[name])
            self._averages[name].copy_(own)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages under the module's own names, in memory of their own."""
        with self.applied():
            return {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    def load_state_dict(self, weights: Mapping[str, Tensor], *, where: str) -> None:
        """Go on from averages that were saved; UserError where they do not fit the module."""
        with self.applied():
            load_weights(self.module, weights, where=where)
