"""What tokens are to a model, and where they stand.

Legend: B batch, L positions, H hidden channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

INITIAL_DEVIATION = 0.02
"""Of embeddings and of the layers tied to them. With 1, the first losses are ten times those of chance."""


def initialise(module: nn.Module) -> None:
    """Draw the weights of a layer: normal, without biases; to be given to `Module.apply`."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIAL_DEVIATION)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class Positions(nn.Module):
    """Adds sines and cosines of a position to what stands there (Vaswani et al. 2017, section 3.5).

    They are scaled by a learned factor, and computed as they are needed, so no sequence is too long.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """hidden [B, L, H], positions [B, L] or [L] from 0 -> [B, L, H]."""
        # All in float32: in less, neighbours far from the beginning would stand in the same place.
        channels = torch.arange(0, hidden.size(-1), 2, device=hidden.device)
        rates = torch.exp(channels * (-math.log(10_000) / hidden.size(-1)))
        angles = positions.unsqueeze(-1) * rates
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        placed: Tensor = self.dropout(hidden + (self.scale * waves).to(hidden.dtype))
        return placed
