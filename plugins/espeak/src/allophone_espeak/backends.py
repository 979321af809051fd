"""`BackendPhonemizer`: the backends of the package phonemizer other than eSpeak NG."""

from __future__ import annotations

import importlib.resources  # noqa: F401 - phonemizer uses it and imports importlib alone
import re
import shutil
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

from allophone.errors import UserError, near_miss
from allophone_espeak.config import PhonemizerConfig
from allophone_espeak.engine import MARK_OF

_PHONE, _SYLLABLE = "\x1f", "\x1e"
_BETWEEN_PHONES = re.compile(f"[{_PHONE}{_SYLLABLE}]+")
_MARKS = "".join(map(re.escape, MARK_OF))
# The point in 3.5 does not end a clause.
_CLAUSE_END = re.compile(rf"((?<!\d)[{_MARKS}]|[{_MARKS}](?!\d))")


class BackendPhonemizer:
    """Phones from one of phonemizer's backends, one symbol per phone.

    A phone may have several characters: "oʊ", "hh". Words are separated by a space, if the backend
    marks them; a clause ends in one of `. , ; : ? !` and a space, as with `EspeakPhonemizer`.
    """

    def __init__(self, config: PhonemizerConfig) -> None:
        self._config = config
        self._backends: dict[str, Any] = {}
        # Backends are not thread-safe.
        self._lock = Lock()

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        if self._config.backend == "segments" and self._config.lowercase:
            texts = [text.lower() for text in texts]
        clauses = [list(_clauses(text)) for text in texts]
        with self._lock:
            backend = self._backend(language)
            phones = iter(_phonemized(backend, [words for text in clauses for words, _ in text]))
        return [_joined([(next(phones), mark) for _, mark in text]) for text in clauses]

    def _backend(self, language: str) -> Any:
        if language not in self._backends:
            self._backends[language] = _build(self._config.backend, language)
        return self._backends[language]


def _build(name: str, language: str) -> Any:
    try:
        from phonemizer.backend import BACKENDS

        backend = BACKENDS[name]
    except ImportError as error:
        raise UserError(
            f"The backend '{name}' needs a package that is not installed: {error.name or error}",
            hint="pip install 'allophone-espeak[phonemizer]'",
        ) from error
    # Asked first: phonemizer loads a second eSpeak NG for it, which may end the process.
    lacks_mbrola = name == "espeak-mbrola" and shutil.which("mbrola") is None
    if lacks_mbrola or not backend.is_available():
        raise UserError(
            f"The backend '{name}' needs a program that is not installed.",
            hint="Install it with the package manager of your system, such as: apt install "
            + {"festival": "festival", "espeak-mbrola": "espeak-ng mbrola"}[name],
        )
    try:
        return backend(language)
    except RuntimeError as error:
        raise UserError(
            f"The backend '{name}' does not support the language '{language}': {error}.",
            hint=near_miss(language, backend.supported_languages()),
        ) from error


def _clauses(text: str) -> Iterator[tuple[str, str]]:
    """Each clause with a letter or digit, and its final punctuation mark or an empty string."""
    pieces = [*_CLAUSE_END.split(text), ""]
    for words, mark in zip(pieces[::2], pieces[1::2], strict=True):
        if any(character.isalnum() for character in words):
            yield words.strip(), MARK_OF.get(mark, "")


def _phonemized(backend: Any, clauses: list[str]) -> list[str]:
    """The output of the backend for each clause."""
    from phonemizer.separator import Separator

    if not clauses:
        return []
    separator = Separator(phone=_PHONE, syllable=_SYLLABLE, word=" ")
    try:
        written: list[str] = backend.phonemize(clauses, separator=separator, strip=True)
    except (RuntimeError, ValueError) as error:
        if len(clauses) == 1:
            raise UserError(
                f"The backend '{backend.name()}' cannot phonemize {clauses[0]!r}: {error}",
                hint="Use only letters that the backend supports.",
            ) from error
        written = []
    if len(written) == len(clauses):
        return written
    # Festival omits clauses without phones, and one bad clause makes the whole call fail.
    if len(clauses) == 1:
        return [""]
    return [one for clause in clauses for one in _phonemized(backend, [clause])]


def _joined(clauses: Sequence[tuple[str, str]]) -> list[str]:
    """The symbols of a text."""
    symbols: list[str] = []
    for written, mark in clauses:
        words = [list(filter(None, _BETWEEN_PHONES.split(word))) for word in written.split(" ")]
        for word in filter(None, words):
            symbols += [" ", *word] if symbols else word
        if any(words) and mark:
            symbols.append(mark)
    return symbols
