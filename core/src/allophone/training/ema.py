"""Exponential moving average (EMA) of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from allophone.weights.loading import load_weights


class MovingAverage:
    """Exponential moving average of a module's parameters; buffers are copied.

    decay: decay per step. In the first steps the decay is (1 + step) / (10 + step) if that is less, so that
        the random initialization is forgotten quickly.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = module
        self.decay = decay
        self._parameters = {name for name, _ in module.named_parameters()}
        self._averages = {name: tensor.clone() for name, tensor in self._current().items()}

    def _current(self) -> dict[str, Tensor]:
        """Return the module's tensors, with tied weights only under their first name."""
        unique: dict[int, str] = {}
        state = self.module.state_dict()
        for name, tensor in state.items():
            unique.setdefault(tensor.data_ptr(), name)
        return {name: state[name] for name in unique.values()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average with the module's weights after optimizer step `step`."""
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
        """Context manager that swaps the averages into the module, and its own weights back on exit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in self._current().items():
            own = tensor.clone()
            tensor.copy_(self._averages[name])
            self._averages[name].copy_(own)

    def state_dict(self) -> dict[str, Tensor]:
        """Return a copy of the averages, with the names of the module's state dict."""
        with self.applied():
            return {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    def load_state_dict(self, weights: Mapping[str, Tensor], *, where: str) -> None:
        """Load saved averages. Raises UserError if they do not fit the module."""
        with self.applied():
            load_weights(self.module, weights, where=where)
