"""Small models and a little to learn, for the tests of this plugin.

B batch, T text, F frames, Q codebooks.
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
    """text [B, T] with lengths [B], codes [B, F, Q] with lengths [B], zeros past them."""

    text: Tensor
    text_lengths: Tensor
    codes: Tensor
    lengths: Tensor


def utterances(
    text_lengths: list[int], lengths: list[int], *, bins: int = BINS, seed: int = 0
) -> Utterances:
    """Random utterances; a row is the same whatever the others are."""
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
    *, bins: int = BINS, seed: int = 0, outspoken: bool = False, **sizes: object
) -> ArModel:
    """outspoken: with weights so large that its predictions differ from chance."""
    torch.manual_seed(seed)
    given = {"channels": 32, "layers": 2, "heads": 2, "feed_forward_channels": 64, "dropout": 0.0}
    config = ArConfig(**(given | sizes))
    return _ready(ArModel(config, vocabulary_size=SYMBOLS, bins=bins), outspoken)


def nar_model(
    *, bins: int = BINS, seed: int = 0, outspoken: bool = False, **sizes: object
) -> NarModel:
    """As `ar_model`."""
    torch.manual_seed(seed)
    given = {"channels": 32, "layers": 2, "heads": 2, "feed_forward_channels": 64, "dropout": 0.0}
    config = NarConfig(**(given | sizes))
    model = NarModel(config, vocabulary_size=SYMBOLS, codebooks=CODEBOOKS, bins=bins)
    return _ready(model, outspoken)


def _ready(model: nn.Module, outspoken: bool) -> nn.Module:
    if outspoken:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4)
    return model.eval()
