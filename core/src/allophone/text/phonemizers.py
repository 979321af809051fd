"""What turns normalised text into symbols: the protocol, and the phonemizer of the core.

Symbols are strings: phonemes or letters, the space between words, and punctuation, which a model learns
to speak as pauses and intonation.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Protocol

from allophone.text.config import GraphemeConfig


class Phonemizer(Protocol):
    """Turns texts into symbols; safe to call from several threads at once."""

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        """One list of symbols a text, in order; empty where a text says nothing.

        Raises `UserError` where `language` is not known or something is not installed.
        """
        ...


class GraphemePhonemizer:
    """The characters of the text, one symbol a code point of its NFC form; for any language."""

    def __init__(self, config: GraphemeConfig) -> None:
        self._config = config

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        return [self._spelled(text) for text in texts]

    def _spelled(self, text: str) -> list[str]:
        cased = text.lower() if self._config.lowercase else text
        return list(unicodedata.normalize("NFC", " ".join(cased.split())))
