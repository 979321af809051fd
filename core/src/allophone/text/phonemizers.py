"""The phonemizer protocol, and the phonemizer `graphemes`.

Symbols are strings: phonemes or letters, the space between words, and punctuation, which a model learns
to realize as pauses and intonation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol

from allophone.text.config import GraphemeConfig


class Phonemizer(Protocol):
    """Converts normalized text to symbols; thread-safe.

    Optional members:

    - `resolve(language) -> str` returns the phonemizer's own code for a language as people write it
      ("en_US"), or raises `UserError`. `allophone prepare` calls it, so an unknown language is found early,
      and the other methods are called with the code.
    - `unreadable(text, language) -> list[str]` returns the words and symbols that it would misread or leave
      out, such as those of another script. They are named in a warning when a text is spoken; an utterance
      that has any is left out of training.
    """

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        """Return one list of symbols per text, in order; empty for a text with nothing to pronounce.

        Raises `UserError` if `language` is unknown or a dependency is not installed.
        """
        ...


class GraphemePhonemizer:
    """Returns the characters of the text, one symbol per NFC code point, for any language."""

    def __init__(self, config: GraphemeConfig) -> None:
        self._config = config

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        return [self._spell(text) for text in texts]

    def _spell(self, text: str) -> list[str]:
        cased = text.lower() if self._config.lowercase else text
        return list(unicodedata.normalize("NFC", " ".join(cased.split())))
