"""Extractor of the symbols of the text. Shapes: T symbols."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allophone.data.manifest import Dropped, Utterance
from allophone.errors import UserError
from allophone.features.config import PhonemesConfig
from allophone.features.protocol import ExtractionContext
from allophone.text.frontend import Reading, TextFrontend


class PhonemesExtractor:
    """Extracts the symbols that `[text]` makes of the text: strings [T], without blanks.

    The symbol table inserts blanks when it encodes the symbols.
    """

    reads = frozenset({"text"})

    def __init__(self, config: PhonemesConfig, context: ExtractionContext) -> None:
        self._context = context
        self.key: Mapping[str, Any] = {"version": 2, "text": dict(context.text_key)}

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.str_] | Dropped]:
        """Yield the symbols of each utterance; those without a letter or a digit are dropped."""
        languages: dict[str | None, list[Utterance]] = defaultdict(list)
        for utterance in utterances:
            languages[utterance.language].append(utterance)
        results: dict[str, NDArray[np.str_] | Dropped] = {}
        for language, spoken in languages.items():
            frontend = self._context.frontend(language)
            # Raises errors of the front end itself, such as a missing package, which no text has caused.
            frontend.symbols("")
            readings = _read([utterance.text for utterance in spoken], frontend)
            results |= {u.id: _checked(r, u) for u, r in zip(spoken, readings, strict=True)}
        for utterance in utterances:
            yield results[utterance.id]


def _read(texts: Sequence[str], frontend: TextFrontend) -> list[Reading | UserError]:
    """Read each text, or return its error: one bad text does not affect the others."""
    try:
        return list(frontend.read(texts))
    except UserError as error:
        if len(texts) == 1:
            return [error]
    return [result for text in texts for result in _read([text], frontend)]


def _checked(reading: Reading | UserError, utterance: Utterance) -> NDArray[np.str_] | Dropped:
    if isinstance(reading, UserError):
        return Dropped(reason="unreadable text", detail=str(reading))
    if reading.unreadable:
        return Dropped(reason="unreadable words", detail=", ".join(reading.unreadable))
    if not any(symbol.isalnum() for symbol in reading.symbols):
        return Dropped(reason="empty text", detail=f"no letter or digit in {utterance.text!r}")
    return np.array(reading.symbols)
