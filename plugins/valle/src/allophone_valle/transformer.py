"""Pre-norm transformer blocks, which both models are made of.

Legend: B batch, L positions, K positions that are looked at, H hidden channels, A attention heads,
D channels of a head.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone_valle.cache import KeyValueCache
from allophone_valle.config import TransformerConfig

Extend = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Keys and values [B, A, L, D] of new positions to those of all so far, [B, A, K, D]."""


class LayerNorm(nn.LayerNorm):
    """A norm with a scale and a shift of its own, whatever the condition."""

    def forward(self, hidden: Tensor, condition: Tensor | None = None) -> Tensor:
        """hidden [B, L, H] -> [B, L, H]."""
        return super().forward(hidden)


class AdaptiveLayerNorm(nn.Module):
    """A norm whose result is scaled and shifted as a condition says (Wang et al. 2023, section 4.2.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 2 * channels)

    def reset_scale(self) -> None:
        """Begin as an ordinary norm: a scale around one."""
        with torch.no_grad():
            self.project.bias.chunk(2)[0].fill_(1.0)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """hidden [B, L, H], condition [B, H] -> [B, L, H]."""
        scale, shift = self.project(condition).unsqueeze(1).chunk(2, dim=-1)
        scaled: Tensor = scale * self.norm(hidden) + shift
        return scaled


class SelfAttention(nn.Module):
    """Attention among positions, or of new positions to those that a cache remembers."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.query_key_value = nn.Linear(config.channels, 3 * config.channels)
        self.output = nn.Linear(config.channels, config.channels)

    def forward(self, hidden: Tensor, mask: Tensor | None, extend: Extend | None) -> Tensor:
        """hidden [B, L, H], mask [B, 1, L or 1, K] -> [B, L, H]."""
        projected = self.query_key_value(hidden).unflatten(2, (3, self.heads, -1))
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # [B, A, L, D]
        if extend is not None:
            key, value = extend(key, value)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each behind a norm and beside a residual connection."""

    def __init__(self, config: TransformerConfig, *, adaptive: bool) -> None:
        super().__init__()
        norm = AdaptiveLayerNorm if adaptive else LayerNorm
        self.attention_norm = norm(config.channels)
        self.attention = SelfAttention(config)
        self.feed_forward_norm = norm(config.channels)
        self.expand = nn.Linear(config.channels, config.feed_forward_channels)
        self.contract = nn.Linear(config.feed_forward_channels, config.channels)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, hidden: Tensor, mask: Tensor | None, condition: Tensor | None, extend: Extend | None
    ) -> Tensor:
        """As `Transformer`; `extend` is this layer's."""
        attended = self.attention(self.attention_norm(hidden, condition), mask, extend)
        hidden = hidden + self.dropout(attended)
        inner = functional.relu(self.expand(self.feed_forward_norm(hidden, condition)))
        output: Tensor = hidden + self.dropout(self.contract(self.dropout(inner)))
        return output


class Transformer(nn.Module):
    """Blocks, and a norm after the last one.

    adaptive: whether its norms depend on a condition.
    """

    def __init__(self, config: TransformerConfig, *, adaptive: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            TransformerBlock(config, adaptive=adaptive) for _ in range(config.layers)
        )
        self.norm = (AdaptiveLayerNorm if adaptive else LayerNorm)(config.channels)

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor | None,
        *,
        condition: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """hidden [B, L, H] -> [B, L, H].

        mask: true where a query looks at a key, [B, 1, L or 1, K]; None where every query looks at all.
        condition: [B, H], of adaptive norms.
        cache: keys and values of positions before; those of the new ones are added to it.
        """
        for layer, block in enumerate(self.blocks):
            extend = None if cache is None else cache.extending(layer)
            hidden = block(hidden, mask, condition, extend)
        output: Tensor = self.norm(hidden, condition)
        return output
