"""`TextFrontend`: from a text to the symbols of a model, with raw phonemes in `[[ ]]` let through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby

from attrs import evolve, frozen

from allophone.errors import UserError
from allophone.text.phonemizers import Phonemizer
from allophone.text.phones import PhoneMap

RAW = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
"""A span of raw phonemes; its group is what stands between the brackets."""

_BRACKETS = re.compile(r"\[\[|\]\]")
_LEADING_MARKS = re.compile(r"\s*([.,:;?!]+)(?=\s|$)")


@frozen(kw_only=True)
class _Part:
    """A stretch of a text; mark: the punctuation that follows raw phonemes."""

    text: str
    raw: bool
    mark: str = ""


@frozen(kw_only=True)
class _Stretch:
    """Symbols of which all are raw, or none is."""

    symbols: tuple[str, ...]
    raw: bool = False


@frozen(kw_only=True)
class TextFrontend:
    """Normalizes and phonemizes texts of one language.

    phones: renames what the phonemizer writes; None leaves it as it is.
    edges: the symbol with which every utterance begins and ends.

    `[[həlˈoʊ]]` anywhere in a text is taken as phonemes, one symbol a code point, untouched by
    normalizer and phonemizer; a space beside the brackets is a space between words. With `phones`,
    it is the names of phones that stand between the brackets, separated by spaces: `[[HH AH0]]`.
    """

    normalizer: Callable[[str], str]
    phonemizer: Phonemizer
    language: str
    phones: PhoneMap | None = None
    edges: str | None = None

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
        return [self._named(_joined(parts, phonemized)) for parts in divided]

    def _named(self, stretches: Sequence[_Stretch]) -> list[str]:
        names: list[str] = []
        for raw, run in groupby(stretches, key=lambda stretch: stretch.raw):
            symbols = [list(stretch.symbols) for stretch in run]
            if self.phones is None:
                names += chain.from_iterable(symbols)
            elif raw:
                names += " ".join(map("".join, symbols)).split()
            else:
                names += self.phones.names("".join(chain.from_iterable(symbols)))
        return self._edged(names)

    def _edged(self, names: list[str]) -> list[str]:
        if self.edges is None or not names:
            return names
        before = [] if names[0] == self.edges else [self.edges]
        after = [] if names[-1] == self.edges else [self.edges]
        return [*before, *names, *after]


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
            parts[-1] = evolve(parts[-1], mark=marks[1][0])
            piece = piece[marks.end() :]
        parts.append(_Part(text=piece, raw=False))
    return parts


def _joined(parts: Sequence[_Part], phonemized: Iterator[list[str]]) -> list[_Stretch]:
    """The symbols of all parts, with a single space where white space divides two of them."""
    stretches: list[_Stretch] = []
    space = False
    for part in parts:
        spoken = tuple(part.text.strip()) if part.raw else tuple(next(phonemized))
        space = space or part.text[:1].isspace()
        if spoken or part.mark:
            if stretches and space:
                stretches.append(_Stretch(symbols=(" ",)))
            stretches.append(_Stretch(symbols=spoken, raw=part.raw))
            if part.mark:
                stretches.append(_Stretch(symbols=(part.mark,)))
        space = part.text[-1:].isspace() or (space and not (spoken or part.mark))
    return stretches
