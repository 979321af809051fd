"""Autoregressive (AR) model of the first codebook: predicts the next code from text and previous codes.

Wang et al. 2023, section 4.2.1; grouped codes: VALL-E 2 (Chen et al. 2024).

Legend: B batch, T text, F frames of codes, S steps, G codes per step, H hidden channels, V entries of the
codebook and the end symbol.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from allophone_valle.cache import KeyValueCache
from allophone_valle.config import ArConfig
from allophone_valle.embeddings import PositionalEncoding, init_weights
from allophone_valle.masks import prefix_lm_mask, sequence_mask
from allophone_valle.transformer import Transformer

IGNORE_INDEX = -100
"""Target of positions without a loss, such as padding; the default of PyTorch's cross-entropy."""


@frozen(kw_only=True)
class ShiftedCodes:
    """Inputs and targets for teacher forcing.

    inputs: [B, S, G], lengths: [B] in steps. targets: [B, S, G], `IGNORE_INDEX` where there is no loss.
    """

    inputs: Tensor
    lengths: Tensor
    targets: Tensor


class ArModel(nn.Module):
    """Decoder-only transformer over text and codes; the end of the utterance is an additional code."""

    def __init__(self, config: ArConfig, *, vocabulary_size: int, bins: int) -> None:
        super().__init__()
        self.config = config
        self.end, self.begin = bins, bins + 1
        channels, group = config.channels, config.group_size
        self.text_embedding = nn.Embedding(vocabulary_size, channels)
        self.text_positions = PositionalEncoding(config.dropout)
        self.code_embedding = nn.Embedding(bins + 1 + config.begin_symbol, channels)
        self.group_projection = (
            nn.Identity() if group == 1 else nn.Linear(group * channels, channels)
        )
        self.code_positions = PositionalEncoding(config.dropout)
        self.transformer = Transformer(config, adaptive=False)
        self.head = nn.Linear(channels, group * (bins + 1), bias=False)
        self.apply(init_weights)

    def forward(
        self, text: Tensor, text_lengths: Tensor, inputs: Tensor, lengths: Tensor
    ) -> Tensor:
        """text [B, T], inputs [B, S, G] with lengths [B] -> logits [B, S, G, V] of the next step."""
        text_size, steps = text.size(1), inputs.size(1)
        valid = torch.cat(
            [sequence_mask(text_lengths, text_size), sequence_mask(lengths, steps)], dim=1
        )
        positions = torch.arange(steps, device=inputs.device)
        hidden = torch.cat([self.embed_text(text), self.embed_codes(inputs, positions)], dim=1)
        hidden = self.transformer(hidden, prefix_lm_mask(valid, text_size))
        return self.predict(hidden[:, text_size:])

    def embed_text(self, text: Tensor) -> Tensor:
        """text [B, T] -> [B, T, H]."""
        positions = torch.arange(text.size(1), device=text.device)
        embedded: Tensor = self.text_positions(self.text_embedding(text), positions)
        return embedded

    def embed_codes(self, codes: Tensor, positions: Tensor) -> Tensor:
        """codes [B, S, G] at positions [S] or [B, S] -> [B, S, H]."""
        grouped = self.group_projection(self.code_embedding(codes).flatten(2))
        embedded: Tensor = self.code_positions(grouped, positions)
        return embedded

    def predict(self, hidden: Tensor) -> Tensor:
        """hidden [B, S, H] -> logits [B, S, G, V]."""
        logits: Tensor = self.head(hidden).unflatten(2, (self.config.group_size, -1))
        return logits

    def shift_codes(self, codes: Tensor, lengths: Tensor) -> ShiftedCodes:
        """Shift codes [B, F] with lengths [B] into inputs and targets for teacher forcing.

        The end symbol follows the last code; the rest of the last step has no loss.
        """
        group = self.config.group_size
        counts = lengths // group + 1
        size = (codes.size(1) // group + 1) * group
        codes = functional.pad(codes, (0, size - codes.size(1)))
        positions = torch.arange(size, device=codes.device)
        offset = positions - lengths.unsqueeze(1)
        targets = codes.masked_fill(offset == 0, self.end).masked_fill(offset > 0, IGNORE_INDEX)
        codes, targets = (each.view(len(each), -1, group) for each in (codes, targets))
        if not self.config.begin_symbol:
            return ShiftedCodes(inputs=codes[:, :-1], lengths=counts - 1, targets=targets[:, 1:])
        inputs = functional.pad(codes[:, :-1], (0, 0, 1, 0), value=self.begin)
        return ShiftedCodes(inputs=inputs, lengths=counts, targets=targets)

    def empty_cache(self, *, batch: int, capacity: int) -> KeyValueCache:
        """Allocate a cache for `capacity` positions of text and codes."""
        weight = self.head.weight
        return KeyValueCache.allocate(
            layers=self.config.layers,
            batch=batch,
            heads=self.config.heads,
            capacity=capacity,
            channels=self.config.channels // self.config.heads,
            dtype=weight.dtype,
            device=weight.device,
        )
