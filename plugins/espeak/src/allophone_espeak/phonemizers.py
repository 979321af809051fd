"""`EspeakPhonemizer`: texts to IPA symbols."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from allophone_espeak.config import EspeakConfig
from allophone_espeak.engine import Clause, EspeakPool, languages
from allophone_espeak.scripts import unreadable_words

_STRESS = str.maketrans("", "", "ˈˌ")
_ENGINES = EspeakPool()


class EspeakPhonemizer:
    """IPA from eSpeak NG; each symbol is one code point in NFD.

    Words are separated by a space; a clause ends in one of `. , ; : ? !` and a space. For the same
    library version these are the symbols that Piper's voices were trained on.

    engines: the pool of engines; defaults to that of the process.
    """

    def __init__(self, config: EspeakConfig, engines: EspeakPool = _ENGINES) -> None:
        self._config = config
        self._engines = engines

    def resolve(self, language: str) -> str:
        """The code of eSpeak NG for a language as people write it; see `Languages.resolve`."""
        return languages().resolve(language)

    def unreadable(self, text: str, language: str) -> list[str]:
        """The words that eSpeak NG would spell by the names of their letters, and symbols that it leaves out."""
        words = list(unreadable_words(text, language))
        symbols = {character for character in text if unicodedata.category(character) == "So"}
        if symbols:
            with self._engines.engine(language) as engine:
                words += [symbol for symbol in sorted(symbols) if not engine.clauses(symbol)]
        return words

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        with self._engines.engine(language) as engine:
            return [
                list(" ".join(self._spelled(clause) for clause in engine.clauses(text)))
                for text in texts
            ]

    def _spelled(self, clause: Clause) -> str:
        phonemes = clause.phonemes if self._config.stress else clause.phonemes.translate(_STRESS)
        return phonemes + clause.mark
