"""The processes that train together, and the few things that they tell each other.

Gradients travel through DistributedDataParallel; here is the rest: a stop that all agree on, metrics,
random states. All but `mean` goes over the CPU (gloo), so that no GPU waits for it. Alone, a process
talks to itself.
"""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.distributed as dist
from attrs import field, frozen
from torch import Tensor

T = TypeVar("T")


@frozen(kw_only=True)
class Rank:
    """This process among those that train together, and the device that it trains on."""

    index: int = 0
    world_size: int = 1
    device: torch.device = field(factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and tells."""
        return self.index == 0

    def any(self, mine: bool) -> bool:
        """Whether it is so on any rank; every rank must ask."""
        if self.world_size == 1:
            return mine
        said = torch.tensor(int(mine))
        dist.all_reduce(said, op=dist.ReduceOp.MAX)
        return bool(said.item())

    def mean(self, mine: Tensor) -> Tensor:
        """The mean of what every rank has, on its device; every rank must ask."""
        if self.world_size == 1:
            return mine
        total = mine.clone()
        dist.all_reduce(total)
        return total / self.world_size

    def gather(self, mine: T) -> list[T]:
        """What every rank has, in their order, on every rank; every rank must ask."""
        if self.world_size == 1:
            return [mine]
        everybody: list[T | None] = [None] * self.world_size
        dist.all_gather_object(everybody, mine)
        return everybody  # type: ignore[return-value]
