"""Pre-norm transformer, shared by the AR and NAR models.

Legend: B batch, L positions, K key positions, H hidden channels, A attention heads, D channels per head.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from allophone_valle.cache import KeyValueCache
from allophone_valle.config import TransformerConfig

CacheUpdate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Maps keys and values [B, A, L, D] of new positions to those of all positions so far, [B, A, K, D]."""


class LayerNorm(nn.LayerNorm):
    """Layer norm that ignores the condition."""

    def forward(self, hidden: Tensor, condition: Tensor | None = None) -> Tensor:
        """hidden [B, L, H] -> [B, L, H]."""
        return super().forward(hidden)


class AdaptiveLayerNorm(nn.Module):
    """Layer norm whose scale and shift are projected from a condition (Wang et al. 2023, section 4.2.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, 2 * channels)

    def reset_scale(self) -> None:
        """Set the bias of the scale to 1, so that training starts close to a plain layer norm."""
        with torch.no_grad():
            self.project.bias.chunk(2)[0].fill_(1.0)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """hidden [B, L, H], condition [B, H] -> [B, L, H]."""
        scale, shift = self.project(condition).unsqueeze(1).chunk(2, dim=-1)
        scaled: Tensor = scale * self.norm(hidden) + shift
        return scaled


class SelfAttention(nn.Module):
    """Multi-head self-attention, optionally with a key-value cache."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.query_key_value = nn.Linear(config.channels, 3 * config.channels)
        self.output = nn.Linear(config.channels, config.channels)

    def forward(
        self, hidden: Tensor, mask: Tensor | None, update_cache: CacheUpdate | None
    ) -> Tensor:
        """hidden [B, L, H], mask [B, 1, L or 1, K] -> [B, L, H]."""
        projected = self.query_key_value(hidden).unflatten(2, (3, self.heads, -1))
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # [B, A, L, D]
        if update_cache is not None:
            key, value = update_cache(key, value)
        attended = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        output: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return output


class TransformerBlock(nn.Module):
    """Pre-norm transformer block: attention and feed-forward with residual connections."""

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
        self,
        hidden: Tensor,
        mask: Tensor | None,
        condition: Tensor | None,
        update_cache: CacheUpdate | None,
    ) -> Tensor:
        """As `Transformer`; update_cache: stores this layer's keys and values."""
        attended = self.attention(self.attention_norm(hidden, condition), mask, update_cache)
        hidden = hidden + self.dropout(attended)
        inner = functional.relu(self.expand(self.feed_forward_norm(hidden, condition)))
        output: Tensor = hidden + self.dropout(self.contract(self.dropout(inner)))
        return output


class Transformer(nn.Module):
    """Transformer blocks and a final layer norm.

    adaptive: whether to use adaptive layer norms.
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

        mask: [B, 1, L or 1, K], true where a query attends to a key; None for no mask.
        condition: [B, H], for adaptive layer norms.
        cache: keys and values of previous positions; those of the new positions are added.
        """
        for layer, block in enumerate(self.blocks):
            update_cache = None if cache is None else cache.updater(layer)
            hidden = block(hidden, mask, condition, update_cache)
        output: Tensor = self.norm(hidden, condition)
        return output
