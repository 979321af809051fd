"""Transformers without positions, as some flows have them: over the whole utterance, or its past alone.

Legend: B batch, F frames, H hidden channels, A attention heads.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from allophone_vits.layers import masked
from allophone_vits.text_encoder import FeedForward, Neighbours, TransformerBlock

KERNEL_SIZE = 3


class SelfAttention(nn.Module):
    """Attention to every frame, or with `causal` to a frame and those before it."""

    def __init__(self, channels: int, heads: int, dropout: float, *, causal: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.causal = causal
        self.dropout = dropout
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.value = nn.Conv1d(channels, channels, 1)
        self.output = nn.Conv1d(channels, channels, 1)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight)

    def forward(self, hidden: Tensor, neighbours: Neighbours | None, mask: Tensor | None) -> Tensor:
        """hidden [B, H, F], mask [B, 1, F] -> [B, H, F]; neighbours are those of any others."""
        query, key, value = (
            projection(hidden).unflatten(1, (self.heads, -1)).transpose(2, 3)
            for projection in (self.query, self.key, self.value)
        )  # [B, A, F, H / A]
        # What is padded comes after what is not, so the past needs no mask.
        attended = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if self.causal or mask is None else mask.unsqueeze(1),
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=self.causal,
        )
        output: Tensor = self.output(attended.transpose(2, 3).flatten(1, 2))
        return output


class CausalFeedForward(nn.Module):
    """Two convolutions over a frame and those before it, with a rectifier between them."""

    def __init__(self, channels: int, inner_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.past = kernel_size - 1
        self.expand = nn.Conv1d(channels, inner_channels, kernel_size)
        self.contract = nn.Conv1d(inner_channels, channels, kernel_size)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, H, F], mask [B, 1, F] -> [B, H, F]."""
        inner = self.expand(functional.pad(masked(hidden, mask), (self.past, 0)))
        inner = masked(functional.relu(inner), mask)
        return masked(self.contract(functional.pad(inner, (self.past, 0))), mask)


class Transformer(nn.Module):
    """Blocks of attention and feed-forward whose sizes are all `channels`."""

    def __init__(self, channels: int, *, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TransformerBlock(
                SelfAttention(channels, heads, dropout),
                FeedForward(channels, channels, KERNEL_SIZE, dropout),
                channels=channels,
                dropout=dropout,
            )
            for _ in range(layers)
        )

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, H, F], zero outside the mask [B, 1, F] -> [B, H, F], the same."""
        for block in self.blocks:
            hidden = block(hidden, None, mask)
        return masked(hidden, mask)
