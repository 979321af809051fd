"""What attention remembers of the positions before, in memory that is allocated once.

Legend: B batch, L new positions, C capacity, A attention heads, D channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from attrs import define
from torch import Tensor


@define(kw_only=True, eq=False)
class KeyValueCache:
    """Keys and values [layers, B, A, C, D]; a position's slot is the same in every row of the batch.

    slots: [L] int64, where the next positions are put.
    visible: how many slots, from the first one, are looked at.
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
        """An empty cache for `capacity` positions; channels: of a head."""
        keys, values = torch.zeros(
            2, layers, batch, heads, capacity, channels, dtype=dtype, device=device
        )
        slots = torch.empty(0, dtype=torch.long, device=device)
        return cls(keys=keys, values=values, slots=slots, visible=0)

    def extending(self, layer: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """What puts new keys and values [B, A, L, D] into a layer's slots, and gives all visible ones."""
        return partial(self._extend, self.keys[layer], self.values[layer])

    def _extend(
        self, keys: Tensor, values: Tensor, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor]:
        keys.index_copy_(2, self.slots, key)
        values.index_copy_(2, self.slots, value)
        return keys[:, :, : self.visible], values[:, :, : self.visible]
