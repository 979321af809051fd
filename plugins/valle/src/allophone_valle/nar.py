"""The non-autoregressive model: text, and the codebooks below a stage, to the codebook of that stage.

Wang et al. 2023, section 4.2.2. Legend: B batch, T text, F frames of codes, Q codebooks, V entries of a
codebook, H hidden channels.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from allophone_valle.config import NarConfig
from allophone_valle.embeddings import INITIAL_DEVIATION, Positions, initialise
from allophone_valle.masks import everything, sequence_mask
from allophone_valle.transformer import AdaptiveLayerNorm, Transformer


@frozen(kw_only=True)
class PromptedCodes:
    """Codes that begin with a prompt.

    codes: [B, F, Q] with lengths [B]; of a prompt, the first `prompt_lengths` [B] frames, all codebooks
    are known, of what follows only those below a stage.
    """

    codes: Tensor
    lengths: Tensor
    prompt_lengths: Tensor


class NarModel(nn.Module):
    """Predicts one codebook of all frames at once.

    tables: [Q + 1, V, H]. Table q embeds codebook q, and table q + 1 is also what codebook q is
        predicted with: so all but the first two and the last one do both.
    stages: [Q - 1, H], what the norms are told of the codebook that is to be predicted.
    """

    def __init__(
        self, config: NarConfig, *, vocabulary_size: int, codebooks: int, bins: int
    ) -> None:
        super().__init__()
        self.config = config
        self.codebooks = codebooks
        channels = config.channels
        self.text_embedding = nn.Embedding(vocabulary_size, channels)
        self.text_positions = Positions(config.dropout)
        self.tables = nn.Parameter(torch.empty(codebooks + 1, bins, channels))
        self.code_positions = Positions(config.dropout)
        self.stages = nn.Parameter(torch.empty(codebooks - 1, channels))
        self.transformer = Transformer(config, adaptive=True)
        self.apply(initialise)
        for drawn in (self.tables, self.stages):
            nn.init.normal_(drawn, std=INITIAL_DEVIATION)
        for part in self.modules():
            if isinstance(part, AdaptiveLayerNorm):
                part.reset_scale()

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        spoken: PromptedCodes,
        stages: Tensor,
    ) -> Tensor:
        """Predict, in each row, the codebook that `stages` [B] names, from 1 to Q - 1.

        text [B, T] -> logits [B, F, V], also of the prompt.
        """
        text_size, frames = text.size(1), spoken.codes.size(1)
        valid = torch.cat(
            [sequence_mask(text_lengths, text_size), sequence_mask(spoken.lengths, frames)], dim=1
        )
        is_prompt = sequence_mask(spoken.prompt_lengths, frames)
        hidden = torch.cat(
            [self.embed_text(text), self.embed_codes(spoken.codes, is_prompt, stages)], dim=1
        )
        hidden = self.transformer(
            hidden, everything(valid), condition=functional.embedding(stages - 1, self.stages)
        )
        return torch.bmm(hidden[:, text_size:], self.tables[stages + 1].mT)

    def embed_text(self, text: Tensor) -> Tensor:
        """text [B, T] -> [B, T, H]."""
        positions = torch.arange(text.size(1), device=text.device)
        embedded: Tensor = self.text_positions(self.text_embedding(text), positions)
        return embedded

    def embed_codes(self, codes: Tensor, is_prompt: Tensor, stages: Tensor) -> Tensor:
        """codes [B, F, Q], is_prompt [B, F], stages [B] -> the sum of what is known, [B, F, H]."""
        codebooks = torch.arange(self.codebooks, device=codes.device)
        known = (codebooks < stages[:, None, None]) | is_prompt.unsqueeze(2)
        bins = self.tables.size(1)
        summed: Tensor = functional.embedding_bag(
            (codes + codebooks * bins).flatten(0, 1),
            self.tables[:-1].flatten(0, 1),
            mode="sum",
            per_sample_weights=known.flatten(0, 1).to(self.tables.dtype),
        ).view(*codes.shape[:2], -1)
        positions = torch.arange(codes.size(1), device=codes.device)
        embedded: Tensor = self.code_positions(summed, positions)
        return embedded
