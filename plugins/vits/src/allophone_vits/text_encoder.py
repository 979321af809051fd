"""Text encoder: phonemes to hidden states and the prior's statistics (VITS, section 2.5.2).

A post-norm transformer with windowed relative position embeddings (Shaw et al. 2018) and convolutional
feed-forward layers.

Legend: B batch, T text, H hidden, C latent channels, A attention heads, D channels per head,
W positions in the window (2 * window + 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from allophone_vits.config import TextEncoderConfig
from allophone_vits.gaussian import Gaussian
from allophone_vits.layers import ChannelNorm, masked, same_convolution


@frozen(kw_only=True)
class Neighbours:
    """The window around each position; shared by all layers of an encoder.

    index: [T, W], positions in the window, clamped to the text.
    inside: [T, W], whether the unclamped position exists.
    """

    index: Tensor
    inside: Tensor

    @classmethod
    def of(cls, size: int, window: int, device: torch.device) -> Neighbours:
        """Build the windows of `size` positions, with `window` positions on each side."""
        offsets = torch.arange(-window, window + 1, device=device)
        index = torch.arange(size, device=device).unsqueeze(1) + offsets
        return cls(index=index.clamp(0, size - 1), inside=(index >= 0) & (index < size))


class RelativeAttention(nn.Module):
    """Self-attention with learned relative keys and values within a window; shared by the heads.

    The relative terms are gathered and scattered along the diagonals of the window, so no [T, 2T - 1]
    matrix of relative positions is needed.
    """

    def __init__(self, channels: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Conv1d(channels, channels, 1)
        self.key = nn.Conv1d(channels, channels, 1)
        self.value = nn.Conv1d(channels, channels, 1)
        self.output = nn.Conv1d(channels, channels, 1)
        for projection in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(projection.weight)
        size = channels // heads
        self.relative_keys = nn.Parameter(torch.empty(1, 2 * window + 1, size))
        self.relative_values = nn.Parameter(torch.empty(1, 2 * window + 1, size))
        for embedding in (self.relative_keys, self.relative_values):
            nn.init.normal_(embedding, std=size**-0.5)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, neighbours: Neighbours, mask: Tensor | None) -> Tensor:
        """hidden [B, H, T], mask [B, 1, T] -> [B, H, T]."""
        query, key, value = (
            projection(hidden).unflatten(1, (self.heads, -1)).transpose(2, 3)
            for projection in (self.query, self.key, self.value)
        )  # [B, A, T, D]
        query = query / math.sqrt(query.size(-1))
        index = neighbours.index.expand(*query.shape[:2], -1, -1)  # [B, A, T, W]
        scores = query @ key.transpose(2, 3)  # [B, A, T, T]
        relative_scores = query @ self.relative_keys.transpose(1, 2) * neighbours.inside
        scores = scores.scatter_add(-1, index, relative_scores)
        if mask is not None:
            scores = scores.masked_fill(~mask.unsqueeze(1), -torch.inf)
        weights = self.dropout(scores.softmax(dim=-1))
        window_weights = weights.gather(-1, index) * neighbours.inside
        attended = weights @ value + window_weights @ self.relative_values  # [B, A, T, D]
        output: Tensor = self.output(attended.transpose(2, 3).flatten(1, 2))
        return output


class FeedForward(nn.Module):
    """Two convolutions with a ReLU between them."""

    def __init__(
        self, channels: int, inner_channels: int, kernel_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.expand = same_convolution(channels, inner_channels, kernel_size)
        self.contract = same_convolution(inner_channels, channels, kernel_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, H, T], mask [B, 1, T] -> [B, H, T]."""
        inner = self.dropout(functional.relu(self.expand(masked(hidden, mask))))
        return masked(self.contract(masked(inner, mask)), mask)


class TransformerBlock(nn.Module):
    """Post-norm transformer block: attention and feed-forward with residual connections.

    attention: called as `attention(hidden, neighbours, mask)`.
    feed_forward: called as `feed_forward(hidden, mask)`.
    """

    def __init__(
        self, attention: nn.Module, feed_forward: nn.Module, *, channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = ChannelNorm(channels)
        self.feed_forward = feed_forward
        self.feed_forward_norm = ChannelNorm(channels)
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def from_config(cls, config: TextEncoderConfig) -> TransformerBlock:
        """Build a block of the text encoder."""
        channels, dropout = config.hidden_channels, config.dropout
        return cls(
            RelativeAttention(channels, config.heads, config.window, dropout),
            FeedForward(channels, config.feed_forward_channels, config.kernel_size, dropout),
            channels=channels,
            dropout=dropout,
        )

    def forward(self, hidden: Tensor, neighbours: Neighbours | None, mask: Tensor | None) -> Tensor:
        """hidden [B, H, T], mask [B, 1, T] -> [B, H, T]; neighbours are passed to the attention."""
        attended = self.attention(hidden, neighbours, mask)
        hidden = self.attention_norm(hidden + self.dropout(attended))
        transformed = self.feed_forward(hidden, mask)
        output: Tensor = self.feed_forward_norm(hidden + self.dropout(transformed))
        return output


@frozen(kw_only=True)
class EncodedText:
    """hidden: [B, H, T], input of the duration predictor; prior: [B, C, T], per token."""

    hidden: Tensor
    prior: Gaussian


class TextEncoder(nn.Module):
    """Token ids to hidden states and the prior of each token."""

    def __init__(
        self, config: TextEncoderConfig, *, vocabulary_size: int, latent_channels: int
    ) -> None:
        super().__init__()
        self.window = config.window
        self.embedding = nn.Embedding(vocabulary_size, config.hidden_channels)
        nn.init.normal_(self.embedding.weight, std=config.hidden_channels**-0.5)
        self.blocks = nn.ModuleList(
            TransformerBlock.from_config(config) for _ in range(config.layers)
        )
        self.prior = nn.Conv1d(config.hidden_channels, 2 * latent_channels, 1)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> EncodedText:
        """tokens [B, T] ids, mask [B, 1, T] -> `EncodedText`."""
        return self.project(self.run_blocks(self.blocks, self.embed(tokens, mask), mask), mask)

    def embed(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Embed tokens [B, T] ids -> [B, H, T]."""
        hidden = self.embedding(tokens).transpose(1, 2) * math.sqrt(self.embedding.embedding_dim)
        return masked(hidden, mask)

    def run_blocks(
        self, blocks: Iterable[nn.Module], hidden: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Run some of the blocks: hidden [B, H, T] -> [B, H, T]."""
        neighbours = Neighbours.of(hidden.size(2), self.window, hidden.device)
        for block in blocks:
            hidden = block(hidden, neighbours, mask)
        return masked(hidden, mask)

    def project(self, hidden: Tensor, mask: Tensor | None) -> EncodedText:
        """Project the output of the last block, [B, H, T], to the prior."""
        return EncodedText(
            hidden=hidden, prior=Gaussian.from_statistics(masked(self.prior(hidden), mask))
        )
