"""`EnglishNormalizer`: from written English to the words that a reader says."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from allophone.text.normalization import clean_text
from allophone_english.grammar import grammar
from allophone_english.tokens import Token, joined

_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


class EnglishNormalizer:
    """Writes out numbers, money, dates, times, units and abbreviations, in the order of the text.

    The words stay in that order so that a recording of the text still fits them.
    """

    def __call__(self, text: str) -> str:
        text = _prepared(text)
        return joined(text, grammar().tokens(text))

    def tokens(self, text: str) -> Sequence[Token]:
        """The tokens of a text with their classes; positions are those in the text with quotes and spaces made plain."""
        return grammar().tokens(_prepared(text))


def _prepared(text: str) -> str:
    """Clean text in which every decimal digit is an ASCII one."""
    text = clean_text(text)
    if text.isascii():
        return text
    return "".join(map(_ascii_digit, text.translate(_SUBSCRIPTS)))


def _ascii_digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character
