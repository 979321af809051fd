"""Ends a training whose validation metric no longer improves: `[runtime.early_stop]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allophone.config.experiment import EarlyStopConfig


class EarlyStop:
    """Counts validations without an improvement.

    higher: whether higher values of the metric are better.
    """

    def __init__(self, config: EarlyStopConfig, *, higher: bool) -> None:
        self.config = config
        self._sign = 1 if higher else -1
        self._best: float | None = None
        self._stale = 0

    def update(self, metrics: Mapping[str, float]) -> bool:
        """Add the metrics of a validation; returns whether training should end."""
        value = self._sign * metrics[self.config.metric]
        if self._best is None or value > self._best + self.config.min_delta:
            self._best, self._stale = value, 0
        else:
            self._stale += 1
        return self._stale >= self.config.patience

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, with its sign, and the number of validations since then."""
        return {"best": self._best, "stale": self._stale}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Load a saved state."""
        self._best, self._stale = saved["best"], saved["stale"]
