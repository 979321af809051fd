"""Preallocated key-value cache.

Legend: B batch, L new positions, C capacity, A attention heads, D channels per head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from attrs import define
from torch import Tensor


@define(kw_only=True, eq=False)
class KeyValueCache:
    """Keys and values [layers, B, A, C, D]; a position has the same slot in every row of the batch.

    slots: [L] int64, slots of the next positions.
    visible: number of leading slots that attention reads.
    """

    keys: Tensor
    values: Tensor
    slots: Tensor
    visible: int

    @classmethod
    def allocate(
        cls,
        *,
        layers: int,
        batch: int,
        heads: int,
        capacity: int,
        channels: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> KeyValueCache:
        """Allocate an empty cache for `capacity` positions; channels: per head."""
        keys, values = torch.zeros(
            2, layers, batch, heads, capacity, channels, dtype=dtype, device=device
        )
        slots = torch.empty(0, dtype=torch.long, device=device)
        return cls(keys=keys, values=values, slots=slots, visible=0)

    def updater(self, layer: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return a function that stores a layer's new keys and values [B, A, L, D] and returns all visible ones."""
        return partial(self._update, self.keys[layer], self.values[layer])

    def _update(
        self, keys: Tensor, values: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor]:
        keys.index_copy_(2, self.slots, key)
        values.index_copy_(2, self.slots, value)
        return keys[:, :, : self.visible], values[:, :, : self.visible]
