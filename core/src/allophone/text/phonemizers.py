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

    - `resolve(language) -> str` returns the phonemizer's own code for a language in any common spelling
      ("en_US"), or raises `UserError` if it is not supported. `allophone prepare` calls it to report unsupported
      languages early; the other methods are called with the resolved code.
    - `unreadable(text, language) -> list[str]` returns the words and symbols that it would mispronounce or drop,
      such as those of another script. They are listed in a warning when a text is synthesized; utterances that
      contain any are left out of training.
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
