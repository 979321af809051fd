"""Feed-forward transformer (FFT) blocks (FastSpeech, Ren et al. 2019, section 3.1).

Post-norm self-attention and two convolutions, with residual connections.

Legend: B batch, L positions (text or frames), H hidden channels, A attention heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone_fastspeech2.config import EncoderConfig
from allophone_fastspeech2.masks import masked


def sinusoidal_positions(length: int, channels: int, device: torch.device) -> Tensor:
    """Sinusoidal positional encoding with interleaved sines and cosines, [L, channels].

    Vaswani et al. 2017, section 3.5. Computed on the fly, so the length is unlimited.
    """
    rates = torch.exp(torch.arange(0, channels, 2, device=device) * (-math.log(10_000) / channels))
    angles = torch.arange(length, device=device).unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


class SelfAttention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, channels)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, L, H], mask [B, L] -> [B, L, H]."""
        query, key, value = (
            projection(hidden).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )  # [B, A, L, H / A]
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=None if mask is None else mask[:, None, None, :]
        )
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output


class FeedForward(nn.Module):
    """Two convolutions with a ReLU between them."""

    def __init__(self, channels: int, inner_channels: int, kernel_sizes: tuple[int, int]) -> None:
        super().__init__()
        first, second = kernel_sizes
        self.expand = nn.Conv1d(channels, inner_channels, first, padding=first // 2)
        self.contract = nn.Conv1d(inner_channels, channels, second, padding=second // 2)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, L, H], mask [B, L] -> [B, L, H]."""
        inner = functional.relu(self.expand(masked(hidden, mask).transpose(1, 2)))
        if self.contract.kernel_size == (1,):
            # A matrix product takes two thirds of the time of the convolution.
            weight = self.contract.weight.squeeze(2)
            return functional.linear(inner.transpose(1, 2), weight, self.contract.bias)
        if mask is not None:
            inner = inner * mask.unsqueeze(1)
        output: Tensor = self.contract(inner).transpose(1, 2)
        return output


class TransformerBlock(nn.Module):
    """Post-norm transformer block: attention and feed-forward with residual connections."""

    def __init__(self, config: EncoderConfig, channels: int) -> None:
        super().__init__()
        self.attention = SelfAttention(channels, config.heads)
        self.attention_norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, config.feed_forward_channels, config.kernel_sizes)
        self.feed_forward_norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, L, H], mask [B, L] -> [B, L, H]."""
        attended = self.dropout(self.attention(hidden, mask))
        hidden = self.attention_norm(hidden + attended)
        transformed = self.dropout(self.feed_forward(hidden, mask))
        output: Tensor = self.feed_forward_norm(hidden + transformed)
        return output


class Transformer(nn.Module):
    """Positional encoding and transformer blocks."""

    def __init__(self, config: EncoderConfig, channels: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TransformerBlock(config, channels) for _ in range(config.layers)
        )

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, L, H], mask [B, L] -> [B, L, H], zero where the mask is false."""
        length, channels = hidden.shape[1:]
        hidden = hidden + sinusoidal_positions(length, channels, hidden.device)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return masked(hidden, mask)
