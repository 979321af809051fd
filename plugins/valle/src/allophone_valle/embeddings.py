"""Positional encoding and initialization.

Legend: B batch, L positions, H hidden channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

INIT_STD = 0.02
"""Standard deviation of initial weights. With PyTorch's 1 for embeddings, which are tied to output layers, the
initial loss is ten times that of a uniform prediction."""


def init_weights(module: nn.Module) -> None:
    """Initialize linear layers and embeddings with normal weights and zero biases, for `Module.apply`."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class PositionalEncoding(nn.Module):
    """Sinusoidal positional encoding with a learned scale (Vaswani et al. 2017, section 3.5).

    Computed on the fly, so the sequence length is unlimited.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """hidden [B, L, H], positions [B, L] or [L] from 0 -> [B, L, H]."""
        # In float32: half precision cannot tell large neighbouring positions apart.
        channels = torch.arange(0, hidden.size(-1), 2, device=hidden.device)
        rates = torch.exp(channels * (-math.log(10_000) / hidden.size(-1)))
        angles = positions.unsqueeze(-1) * rates
        waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        encoded: Tensor = self.dropout(hidden + (self.scale * waves).to(hidden.dtype))
        return encoded
