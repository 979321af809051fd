"""Transformers without position embeddings, full or causal, for the flows.

Legend: B batch, F frames, H hidden channels, A attention heads.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from allophone_vits.layers import masked
from allophone_vits.text_encoder import FeedForward, Neighbours, TransformerBlock

KERNEL_SIZE = 3


class SelfAttention(nn.Module):
    """Multi-head self-attention over all frames, or causal."""

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
        """hidden [B, H, F], mask [B, 1, F] -> [B, H, F]; `neighbours` is ignored."""
        query, key, value = (
            projection(hidden).unflatten(1, (self.heads, -1)).transpose(2, 3)
            for projection in (self.query, self.key, self.value)
        )  # [B, A, F, H / A]
        # Padding comes last, so causal attention needs no mask.
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
    """Two causal convolutions with a ReLU between them."""

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
    """Transformer blocks with `channels` channels throughout."""

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
        """hidden [B, H, F], mask [B, 1, F] -> [B, H, F]; input and output are zero outside the mask."""
        for block in self.blocks:
            hidden = block(hidden, None, mask)
        return masked(hidden, mask)
