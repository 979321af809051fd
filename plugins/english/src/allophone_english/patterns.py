"""Pieces of patterns that several classes share; all are for verbose mode, and bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable

WHOLE = r"""(?:
    \d{1,3}(?:,\d{3}){1,12}(?!,?\d)         # 1,234,567
  | \d{1,2}(?:,\d{2}){1,6},\d{3}(?!\d)      # 12,34,567
  | \d{1,3}(?:[ ]\d{3}){2,6}(?![ ]?\d)      # 1 234 567
  | \d{1,3}[ ]000(?![ ]?\d)                 # 10 000
  | \d{1,3}(?:'\d{3}){1,6}(?!\d)            # 1'234'567
  | \d{1,40}
)"""
DECIMAL = rf"(?:{WHOLE}\.\d{{1,40}}|(?<![\w.])\.\d{{1,40}})"
NUMBER = rf"(?:{DECIMAL}|{WHOLE})"
"""A whole or decimal number, its thousands grouped or not."""

AMOUNT = rf"""(?:
    \d{{1,3}}(?:[. ]\d{{3}}){{0,6}},\d{{1,2}}(?!,?\d)   # 1.234,50: a decimal comma
  | \d{{1,3}}(?:[ ]\d{{3}}){{1,6}}(?![ ]?\d)             # 1 234
  | {NUMBER}
)"""
"""A number that a unit or a currency belongs to."""

DASH = r"[ ]?[-–—][ ]?"
HALF_DAY = r"(?:[aApP](?:\.[ ]?[mM]\b\.?|[mM](?!\w)))"
NO_MORE = r"(?![\w/])"
"""Where a symbol ends."""

_END_OF_SENTENCE = re.compile(r"""["')\]]{0,3}(?:\s+["'(\[]?[A-Z]|$)""")
_END_OF_TEXT = re.compile(r"""["')\]]{0,3}$""")


def any_of(written: Iterable[str]) -> str:
    """An alternation of fixed texts, the longest first."""
    return "|".join(map(re.escape, sorted(written, key=len, reverse=True)))


def ends_sentence(match: re.Match[str]) -> bool:
    """Whether the text ends after a match, or goes on with a capital letter."""
    return _END_OF_SENTENCE.match(match.string, match.end()) is not None


def ends_text(match: re.Match[str]) -> bool:
    """Whether only closing marks follow a match."""
    return _END_OF_TEXT.match(match.string, match.end()) is not None


def with_point(words: str, match: re.Match[str]) -> str:
    """The words of an abbreviation whose point also ends the sentence."""
    return words + "." if match[0].endswith(".") and ends_sentence(match) else words
