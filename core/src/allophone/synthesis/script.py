"""A text as a voice reads it: its sentences, their symbols, and the ids of those."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from allophone.errors import UserError
from allophone.synthesis.protocol import Prompt
from allophone.text.frontend import TextFrontend
from allophone.text.sentences import split_sentences
from allophone.text.symbols import SymbolTable


@frozen(kw_only=True)
class Sentence:
    """symbols: without what the table puts around them; ids: with it."""

    text: str
    symbols: tuple[str, ...]
    ids: tuple[int, ...]


@frozen(kw_only=True)
class Script:
    """Sentences to be said one after the other, by a speaker in a language (their ids).

    prompt: the recording in whose voice all of them are said, for voices that take one.
    """

    sentences: tuple[Sentence, ...]
    speaker: int
    language: int
    prompt: Prompt | None = None

    @property
    def length(self) -> int:
        """How many ids it has in all."""
        return sum(len(sentence.ids) for sentence in self.sentences)


def read_sentences(
    text: str, frontend: TextFrontend, table: SymbolTable, *, whole: bool = False
) -> tuple[Sentence, ...]:
    """Split a text, unless it is to be said as a whole, and look its symbols up.

    What has no letter and no number among its symbols, a lone mark of punctuation, is no sentence.
    Raises UserError when none is left, and for symbols that the table lacks, quoting the sentence.
    """
    texts = [text.strip()] if whole and text.strip() else split_sentences(text)
    read = [
        Sentence(text=sentence, symbols=tuple(symbols), ids=_encode(sentence, symbols, table))
        for sentence, symbols in zip(texts, frontend.symbols_batch(texts), strict=True)
        if _pronounceable(symbols)
    ]
    if not read:
        shown = f"'{text.strip()}' holds nothing" if text.strip() else "There is no text"
        raise UserError(f"{shown} that can be pronounced.", hint="Give a text with words in it.")
    return tuple(read)


def _pronounceable(symbols: Iterable[str]) -> bool:
    return any(character.isalnum() for symbol in symbols for character in symbol)


def _encode(text: str, symbols: list[str], table: SymbolTable) -> tuple[int, ...]:
    try:
        return tuple(table.encode(symbols))
    except UserError as error:
        raise UserError(f"In '{text}': {error.message}", hint=error.hint) from error
