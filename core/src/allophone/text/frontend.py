"""`TextFrontend`: from a text to the symbols of a model, with raw phonemes in `[[ ]]` let through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from allophone.errors import UserError
from allophone.text.phonemizers import Phonemizer

RAW = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
"""A span of raw phonemes; its group is what stands between the brackets."""

_BRACKETS = re.compile(r"\[\[|\]\]")
_LEADING_MARKS = re.compile(r"\s*([.,:;?!]+)(?=\s|$)")


@frozen(kw_only=True)
class _Part:
    text: str
    raw: bool


@frozen(kw_only=True)
class TextFrontend:
    """Normalizes and phonemizes texts of one language.

    `[[həlˈoʊ]]` anywhere in a text is taken as phonemes, one symbol a code point, untouched by
    normalizer and phonemizer; a space beside the brackets is a space between words.
    """

    normalizer: Callable[[str], str]
    phonemizer: Phonemizer
    language: str

    def symbols(self, text: str) -> list[str]:
        """The symbols of one text; empty where it says nothing.

        Raises `UserError` where `[[` and `]]` do not match.
        """
        return self.symbols_batch([text])[0]

    def symbols_batch(self, texts: Sequence[str]) -> list[list[str]]:
        """The symbols of each text, in order; quicker than one by one."""
        divided = [_divided(text) for text in texts]
        plain = [self.normalizer(part.text) for parts in divided for part in parts if not part.raw]
        phonemized = iter(self.phonemizer.phonemize(plain, self.language))
        return [_joined(parts, phonemized) for parts in divided]


def _divided(text: str) -> list[_Part]:
    parts: list[_Part] = []
    for index, piece in enumerate(RAW.split(text)):
        stray = _BRACKETS.search(piece)
        if stray:
            raise UserError(
                f"'{stray[0]}' has no counterpart in the text {text!r}",
                hint="Raw phonemes stand between [[ and ]], which cannot be nested.",
            )
        raw = index % 2 == 1
        if raw:
            parts.append(_Part(text=piece.strip(), raw=True))
            continue
        # A phonemizer would drop the marks that nothing comes before, but they belong to the
        # raw phonemes.
        marks = _LEADING_MARKS.match(piece)
        if marks and parts:
            parts[-1] = _Part(text=parts[-1].text + marks[1][0], raw=True)
            piece = piece[marks.end() :]
        parts.append(_Part(text=piece, raw=False))
    return parts


def _joined(parts: Sequence[_Part], phonemized: Iterator[list[str]]) -> list[str]:
    """The symbols of all parts, with a single space where white space divides two of them."""
    symbols: list[str] = []
    space = False
    for part in parts:
        spoken = list(part.text.strip()) if part.raw else next(phonemized)
        space = space or part.text[:1].isspace()
        if spoken and symbols and space:
            symbols.append(" ")
        symbols += spoken
        space = part.text[-1:].isspace() or (space and not spoken)
    return symbols
