"""What turns normalised text into symbols: the protocol, and the phonemizers of the core.

Symbols are strings, one code point each for the phonemizers here: phonemes or letters, the space
between words, and punctuation, which a model can hear as pauses and melody.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol

from allophone.text.config import EspeakConfig, GraphemeConfig
from allophone.text.espeak import Clause, EspeakPool

_STRESS = str.maketrans("", "", "ˈˌ")


class Phonemizer(Protocol):
    """Turns texts into symbols; safe to call from several threads at once."""

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        """One list of symbols a text, in order; empty where a text says nothing.

        Raises `UserError` where `language` is not known or something is not installed.
        """
        ...


class EspeakPhonemizer:
    """IPA by eSpeak NG, one symbol a code point of its NFD form.

    Words are separated by a space; a clause ends in one of `. , ; : ? !` and a space. For the same
    library version these are the symbols that Piper's voices were trained on.
    """

    def __init__(self, config: EspeakConfig) -> None:
        self._config = config
        self._engines = EspeakPool()

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        with self._engines.engine(language) as engine:
            return [
                list(" ".join(self._spelled(clause) for clause in engine.clauses(text)))
                for text in texts
            ]

    def _spelled(self, clause: Clause) -> str:
        phonemes = clause.phonemes if self._config.stress else clause.phonemes.translate(_STRESS)
        return phonemes + clause.mark


class GraphemePhonemizer:
    """The characters of the text, one symbol a code point of its NFC form; for any language."""

    def __init__(self, config: GraphemeConfig) -> None:
        self._config = config

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        return [self._spelled(text) for text in texts]

    def _spelled(self, text: str) -> list[str]:
        cased = text.lower() if self._config.lowercase else text
        return list(unicodedata.normalize("NFC", " ".join(cased.split())))
