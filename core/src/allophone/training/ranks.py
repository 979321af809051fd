"""The rank of a process in distributed training, and collectives for everything but gradients.

DistributedDataParallel reduces gradients; `Rank` exchanges stop requests, metrics and random states. All
collectives but `mean` run on the CPU (gloo), so that they do not synchronize with the GPU. With one process
they return their input.
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
    """The rank of this process and its device."""

    index: int = 0
    world_size: int = 1
    device: torch.device = field(factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0, which writes files and logs."""
        return self.index == 0

    def any(self, value: bool) -> bool:
        """Return whether the value is true on any rank. Collective."""
        if self.world_size == 1:
            return value
        flag = torch.tensor(int(value))
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over all ranks, on its device. Collective."""
        if self.world_size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.world_size

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in their order, on every rank. Collective."""
        if self.world_size == 1:
            return [value]
        values: list[T | None] = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values  # type: ignore[return-value]
