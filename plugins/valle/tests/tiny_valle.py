"""Small models and random utterances for the tests.

Legend: B batch, T text, F frames, Q codebooks.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone_valle.ar import ArModel
from allophone_valle.config import ArConfig, NarConfig
from allophone_valle.nar import NarModel

SYMBOLS, CODEBOOKS, BINS = 40, 8, 64


@frozen(kw_only=True)
class Utterances:
    """text [B, T] with text_lengths [B], codes [B, F, Q] with lengths [B]; zero-padded."""

    text: Tensor
    text_lengths: Tensor
    codes: Tensor
    lengths: Tensor


def utterances(
    text_lengths: list[int], lengths: list[int], *, bins: int = BINS, seed: int = 0
) -> Utterances:
    """Random utterances; a row does not depend on the others."""
    text = torch.zeros(len(lengths), max(text_lengths), dtype=torch.long)
    codes = torch.zeros(len(lengths), max(lengths), CODEBOOKS, dtype=torch.long)
    for row, (ids, frames) in enumerate(zip(text_lengths, lengths, strict=True)):
        generator = torch.Generator().manual_seed(seed + 1000 * ids + frames)
        text[row, :ids] = torch.randint(SYMBOLS, (ids,), generator=generator)
        codes[row, :frames] = torch.randint(bins, (frames, CODEBOOKS), generator=generator)
    return Utterances(
        text=text,
        text_lengths=torch.tensor(text_lengths),
        codes=codes,
        lengths=torch.tensor(lengths),
    )


def ar_model(
    *, bins: int = BINS, seed: int = 0, large_weights: bool = False, **sizes: object
) -> ArModel:
    """large_weights: scale the weights up, so that predictions are far from uniform."""
    torch.manual_seed(seed)
    defaults = {
        "channels": 32,
        "layers": 2,
        "heads": 2,
        "feed_forward_channels": 64,
        "dropout": 0.0,
    }
    config = ArConfig(**(defaults | sizes))
    return _prepared(ArModel(config, vocabulary_size=SYMBOLS, bins=bins), large_weights)


def nar_model(
    *, bins: int = BINS, seed: int = 0, large_weights: bool = False, **sizes: object
) -> NarModel:
    """As `ar_model`."""
    torch.manual_seed(seed)
    defaults = {
        "channels": 32,
        "layers": 2,
        "heads": 2,
        "feed_forward_channels": 64,
        "dropout": 0.0,
    }
    config = NarConfig(**(defaults | sizes))
    model = NarModel(config, vocabulary_size=SYMBOLS, codebooks=CODEBOOKS, bins=bins)
    return _prepared(model, large_weights)


def _prepared(model: nn.Module, large_weights: bool) -> nn.Module:
    if large_weights:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4)
    return model.eval()
