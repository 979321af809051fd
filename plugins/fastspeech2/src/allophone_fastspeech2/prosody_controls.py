"""Expand prosody controls per word or phoneme to one factor per id.

Legend: B batch, T text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from allophone.errors import UserError
from allophone.inference.protocol import TextBatch
from allophone.text.symbols import SymbolTable
from allophone_fastspeech2.config import FastSpeech2Controls
from allophone_fastspeech2.variance_adaptor import ProsodyControls

WORD_BOUNDARY = " "
"""Symbol between words."""


def prosody_controls(
    controls: FastSpeech2Controls, text: TextBatch, table: SymbolTable
) -> ProsodyControls:
    """Expand the controls of a batch of sentences to ids.

    Raises UserError if the number of factors is neither 1 nor the number of words or phonemes.
    """

    def expand(name: str) -> Tensor:
        given = getattr(controls, name)
        if not isinstance(given, tuple):
            return torch.full(text.ids.shape, float(given), device=text.ids.device)
        factors = torch.ones(text.ids.shape)
        for row, ids, length in zip(factors, text.ids.tolist(), text.lengths.tolist(), strict=True):
            row[:length] = torch.tensor(_factors_per_id(name, given, ids[:length], table))
        return factors.to(text.ids.device)

    return ProsodyControls(
        length_scale=expand("length_scale"), pitch=expand("pitch"), energy=expand("energy")
    )


def _factors_per_id(
    name: str, factors: Sequence[float], ids: Sequence[int], table: SymbolTable
) -> list[float]:
    """One factor per id of a sentence; blanks, BOS and EOS get the factor of their neighbour."""
    markers = {table.ids[each] for each in (table.blank, table.bos, table.eos) if each is not None}
    symbols = [each for each in ids if each not in markers]
    boundary = table.ids.get(WORD_BOUNDARY)
    words = list(_word_indices(symbols, boundary))
    word_count = max((word for word in words if word is not None), default=-1) + 1
    if len(factors) == word_count:
        symbol_factors = [1.0 if word is None else factors[word] for word in words]
    elif len(factors) == len(symbols):
        symbol_factors = list(factors)
    else:
        raise _count_error(
            name, len(factors), None if boundary is None else word_count, len(symbols)
        )
    return [symbol_factors[owner] for owner in table.owners(len(symbols))]


def _count_error(name: str, factors: int, words: int | None, phonemes: int) -> UserError:
    """Build the error for a wrong number of factors; words is None if the voice has no word boundaries."""
    if words is None:
        return UserError(
            f"{name} has {factors} factors, but the sentence has {phonemes} phonemes, and this voice "
            "has no word boundaries.",
            hint="Give one factor for the sentence, or one per phoneme as listed by Voice.speak.",
        )
    return UserError(
        f"{name} has {factors} factors, but the sentence has {words} words and {phonemes} phonemes.",
        hint="Give one factor for the sentence, one per word, or one per phoneme as listed by "
        "Voice.speak, including spaces between words.",
    )


def _word_indices(symbols: Sequence[int], boundary: int | None) -> Iterator[int | None]:
    """Yield the word index of each symbol; None between words."""
    word, inside = -1, False
    for symbol in symbols:
        if symbol == boundary:
            inside = False
            yield None
            continue
        word, inside = word + (not inside), True
        yield word
