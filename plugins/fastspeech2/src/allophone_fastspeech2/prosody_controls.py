"""What a caller wants of a sentence, phoneme by phoneme: one factor for each id.

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
"""The symbol between two words."""


def prosody_controls(
    controls: FastSpeech2Controls, text: TextBatch, table: SymbolTable
) -> ProsodyControls:
    """The factors of each id of some sentences.

    Raises UserError where there are neither as many factors as words nor as many as phonemes.
    """

    def spread(name: str) -> Tensor:
        given = getattr(controls, name)
        if not isinstance(given, tuple):
            return torch.full(text.ids.shape, float(given), device=text.ids.device)
        factors = torch.ones(text.ids.shape)
        for row, ids, length in zip(factors, text.ids.tolist(), text.lengths.tolist(), strict=True):
            row[:length] = torch.tensor(_of_ids(name, given, ids[:length], table))
        return factors.to(text.ids.device)

    return ProsodyControls(
        length_scale=spread("length_scale"), pitch=spread("pitch"), energy=spread("energy")
    )


def _of_ids(
    name: str, factors: Sequence[float], ids: Sequence[int], table: SymbolTable
) -> list[float]:
    """One factor for each id of a sentence; blanks and boundaries have those of their neighbours."""
    around = {table.ids[each] for each in (table.blank, table.bos, table.eos) if each is not None}
    symbols = [each for each in ids if each not in around]
    boundary = table.ids.get(WORD_BOUNDARY)
    words = list(_words(symbols, boundary))
    spoken = max((word for word in words if word is not None), default=-1) + 1
    if len(factors) == spoken:
        of_symbols = [1.0 if word is None else factors[word] for word in words]
    elif len(factors) == len(symbols):
        of_symbols = list(factors)
    else:
        raise _miscounted(name, len(factors), None if boundary is None else spoken, len(symbols))
    return [of_symbols[owner] for owner in table.owners(len(symbols))]


def _miscounted(name: str, factors: int, words: int | None, phonemes: int) -> UserError:
    """The error that a sentence has other numbers of words (None: it has no boundaries) and phonemes."""
    if words is None:
        return UserError(
            f"{name} has {factors} factors, but the sentence has {phonemes} phonemes, and this voice "
            "does not know where words end.",
            hint="Give one factor for all, or one for each phoneme, as Voice.speak lists them.",
        )
    return UserError(
        f"{name} has {factors} factors, but the sentence has {words} words and {phonemes} phonemes.",
        hint="Give one factor for all, one for each word, or one for each phoneme, as Voice.speak "
        "lists them, pauses between words among them.",
    )


def _words(symbols: Sequence[int], boundary: int | None) -> Iterator[int | None]:
    """Which word each symbol belongs to; None between words."""
    word, inside = -1, False
    for symbol in symbols:
        if symbol == boundary:
            inside = False
            yield None
            continue
        word, inside = word + (not inside), True
        yield word
