"""`TextFrontend`: converts text to the symbols of a model; raw phonemes in `[[ ]]` pass through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby

from attrs import evolve, frozen

from allophone.errors import PluginError, UserError
from allophone.text.phonemizers import Phonemizer
from allophone.text.phones import PhoneMap

RAW = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
"""A span of raw phonemes; group 1 is the text between the brackets."""

_BRACKETS = re.compile(r"\[\[|\]\]")
_LEADING_MARKS = re.compile(r"\s*([.,:;?!]+)(?=\s|$)")


@frozen(kw_only=True)
class _Part:
    """A span of the text.

    mark: the punctuation that directly follows raw phonemes.
    """

    text: str
    raw: bool
    mark: str = ""


@frozen(kw_only=True)
class _Span:
    """Consecutive symbols: all from raw phonemes, or all from the phonemizer."""

    symbols: tuple[str, ...]
    raw: bool = False


@frozen(kw_only=True)
class TextFrontend:
    """Normalizes and phonemizes texts of one language.

    phones: maps the phonemizer's symbols to other phones; None keeps them.
    edges: the symbol at the start and end of every utterance; None adds none.

    `[[həlˈoʊ]]` anywhere in a text is taken as phonemes, one symbol per code point, and bypasses the
    normalizer and the phonemizer; a space next to the brackets separates words. With `phones`, the
    brackets contain phone names separated by spaces: `[[HH AH0]]`.
    """

    normalizer: Callable[[str], str]
    phonemizer: Phonemizer
    language: str
    phones: PhoneMap | None = None
    edges: str | None = None

    def symbols(self, text: str) -> list[str]:
        """Convert one text to symbols; empty if nothing in it is pronounced.

        Raises `UserError` for unbalanced `[[` and `]]`.
        """
        return self.symbols_batch([text])[0]

    def symbols_batch(self, texts: Sequence[str]) -> list[list[str]]:
        """Convert texts to symbols, in order; faster than one at a time."""
        split = [_split_raw(text) for text in texts]
        plain = [self.normalizer(part.text) for parts in split for part in parts if not part.raw]
        found = self.phonemizer.phonemize(plain, self.language)
        if len(found) != len(plain):
            raise PluginError(
                f"The phonemizer {type(self.phonemizer).__qualname__} gives {len(found)} lists of symbols for "
                f"{len(plain)} texts; expected one each, in order.",
                hint="Its author can find such faults with allophone.testing.PhonemizerContract.",
            )
        phonemized = iter(found)
        return [self._to_phones(_join(parts, phonemized)) for parts in split]

    def unreadable(self, text: str) -> list[str]:
        """Words and symbols that the phonemizer cannot read, as far as it can tell."""
        find = getattr(self.phonemizer, "unreadable", None)
        if find is None:
            return []
        plain = (self.normalizer(part.text) for part in _split_raw(text) if not part.raw)
        return [word for part in plain for word in find(part, self.language)]

    def _to_phones(self, spans: Sequence[_Span]) -> list[str]:
        names: list[str] = []
        for raw, run in groupby(spans, key=lambda span: span.raw):
            symbols = [list(span.symbols) for span in run]
            if self.phones is None:
                names += chain.from_iterable(symbols)
            elif raw:
                names += " ".join(map("".join, symbols)).split()
            else:
                names += self.phones.names("".join(chain.from_iterable(symbols)))
        return self._with_edges(names)

    def _with_edges(self, names: list[str]) -> list[str]:
        if self.edges is None or not names:
            return names
        before = [] if names[0] == self.edges else [self.edges]
        after = [] if names[-1] == self.edges else [self.edges]
        return [*before, *names, *after]


def _split_raw(text: str) -> list[_Part]:
    """Split a text into raw phonemes and the text around them."""
    parts: list[_Part] = []
    for index, piece in enumerate(RAW.split(text)):
        stray = _BRACKETS.search(piece)
        if stray:
            raise UserError(
                f"Unbalanced '{stray[0]}' in the text {text!r}",
                hint="Enclose raw phonemes in [[ and ]]; the brackets cannot be nested.",
            )
        raw = index % 2 == 1
        if raw:
            parts.append(_Part(text=piece.strip(), raw=True))
            continue
        # These marks belong to the raw phonemes before them; a phonemizer would drop them at the start
        # of its text.
        marks = _LEADING_MARKS.match(piece)
        if marks and parts:
            parts[-1] = evolve(parts[-1], mark=marks[1][0])
            piece = piece[marks.end() :]
        parts.append(_Part(text=piece, raw=False))
    return parts


def _join(parts: Sequence[_Part], phonemized: Iterator[list[str]]) -> list[_Span]:
    """Join the symbols of all parts, with one space between parts that white space separates."""
    spans: list[_Span] = []
    space = False
    for part in parts:
        spoken = tuple(part.text.strip()) if part.raw else tuple(next(phonemized))
        space = space or part.text[:1].isspace()
        if spoken or part.mark:
            if spans and space:
                spans.append(_Span(symbols=(" ",)))
            spans.append(_Span(symbols=spoken, raw=part.raw))
            if part.mark:
                spans.append(_Span(symbols=(part.mark,)))
        space = part.text[-1:].isspace() or (space and not (spoken or part.mark))
    return spans
