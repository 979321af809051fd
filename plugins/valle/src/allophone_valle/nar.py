"""Non-autoregressive (NAR) model: predicts a codebook from text and the preceding codebooks.

Wang et al. 2023, section 4.2.2. Legend: B batch, T text, F frames of codes, Q codebooks, V entries per
codebook, H hidden channels.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from allophone_valle.config import NarConfig
from allophone_valle.embeddings import INIT_STD, PositionalEncoding, init_weights
from allophone_valle.masks import full_mask, sequence_mask
from allophone_valle.transformer import AdaptiveLayerNorm, Transformer


@frozen(kw_only=True)
class PromptedCodes:
    """Codes that start with a speaker prompt.

    codes: [B, F, Q], lengths: [B]. prompt_lengths: [B], frames of the prompt, of which the model sees all
    codebooks; of the other frames it sees those below the predicted stage.
    """

    codes: Tensor
    lengths: Tensor
    prompt_lengths: Tensor


class NarModel(nn.Module):
    """Predicts one codebook of all frames in parallel.

    tables: [Q + 1, V, H]. Table q embeds codebook q, and table q + 1 is the output layer of codebook q, so
        the output layers of all but the last codebook are tied to the next embedding.
    stages: [Q - 1, H], embeddings of the predicted stage, which condition the adaptive layer norms.
    """

    def __init__(
        self, config: NarConfig, *, vocabulary_size: int, codebooks: int, bins: int
    ) -> None:
        super().__init__()
        self.config = config
        self.codebooks = codebooks
        channels = config.channels
        self.text_embedding = nn.Embedding(vocabulary_size, channels)
        self.text_positions = PositionalEncoding(config.dropout)
        self.tables = nn.Parameter(torch.empty(codebooks + 1, bins, channels))
        self.code_positions = PositionalEncoding(config.dropout)
        self.stages = nn.Parameter(torch.empty(codebooks - 1, channels))
        self.transformer = Transformer(config, adaptive=True)
        self.apply(init_weights)
        for parameter in (self.tables, self.stages):
            nn.init.normal_(parameter, std=INIT_STD)
        for part in self.modules():
            if isinstance(part, AdaptiveLayerNorm):
                part.reset_scale()

    def forward(
        self,
        text: Tensor,
        text_lengths: Tensor,
        prompted: PromptedCodes,
        stages: Tensor,
    ) -> Tensor:
        """Predict codebook `stages` [B], from 1 to Q - 1, in each row.

        text [B, T] -> logits [B, F, V], including those of the prompt.
        """
        text_size, frames = text.size(1), prompted.codes.size(1)
        valid = torch.cat(
            [sequence_mask(text_lengths, text_size), sequence_mask(prompted.lengths, frames)], dim=1
        )
        is_prompt = sequence_mask(prompted.prompt_lengths, frames)
        hidden = torch.cat(
            [self.embed_text(text), self.embed_codes(prompted.codes, is_prompt, stages)], dim=1
        )
        hidden = self.transformer(
            hidden, full_mask(valid), condition=functional.embedding(stages - 1, self.stages)
        )
        return torch.bmm(hidden[:, text_size:], self.tables[stages + 1].mT)

    def embed_text(self, text: Tensor) -> Tensor:
        """text [B, T] -> [B, T, H]."""
        positions = torch.arange(text.size(1), device=text.device)
        embedded: Tensor = self.text_positions(self.text_embedding(text), positions)
        return embedded

    def embed_codes(self, codes: Tensor, is_prompt: Tensor, stages: Tensor) -> Tensor:
        """codes [B, F, Q], is_prompt [B, F], stages [B] -> sum of the visible embeddings [B, F, H]."""
        codebooks = torch.arange(self.codebooks, device=codes.device)
        visible = (codebooks < stages[:, None, None]) | is_prompt.unsqueeze(2)
        bins = self.tables.size(1)
        summed: Tensor = functional.embedding_bag(
            (codes + codebooks * bins).flatten(0, 1),
            self.tables[:-1].flatten(0, 1),
            mode="sum",
            per_sample_weights=visible.flatten(0, 1).to(self.tables.dtype),
        ).view(*codes.shape[:2], -1)
        positions = torch.arange(codes.size(1), device=codes.device)
        embedded: Tensor = self.code_positions(summed, positions)
        return embedded
