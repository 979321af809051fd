"""eSpeak NG, clause by clause: what is said, and which punctuation mark ended it.

The shared library and its data come from the package `espeakng-loader`, so nothing has to be
installed on the system; `phonemizer` binds them. eSpeak NG keeps its state in global variables, so
each engine here has a private copy of the library, and engines are lent to one caller at a time.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from allophone.errors import UserError, near_miss

_UTF8 = 1
_IPA = 2

# What ends a clause, as Unicode writes it in the scripts that eSpeak NG reads, by the mark it means.
# Dashes make the pause of a semicolon; an ellipsis falls like a full stop.
_MARKS = {
    ".": ".\u2026\u3002\uff0e\uff61\u06d4\u0964\u0965\u0589\u1362\u17d4\u104b",
    ",": ",\uff0c\u3001\uff64\u060c\u055d\u1363\u104a",
    ";": ";\uff1b\u061b\u0387\u1364\u2013\u2014",
    ":": ":\uff1a\u1365",
    "?": "?\uff1f\u061f\u037e\u2047\u1367",
    "!": "!\uff01\u203c",
}
_MARK_OF = {written: mark for mark, variants in _MARKS.items() for written in variants}
_ANY_MARK = "".join(map(re.escape, _MARK_OF))

# eSpeak NG has read up to two characters past the mark when it returns a clause.
_CLAUSE_END = re.compile(rf"([{_ANY_MARK}])\W*\w{{0,2}}$")
# Marks alone say nothing, but eSpeak NG would name some of them: "exclamation".
_SILENT = re.compile(rf"[{_ANY_MARK}\s\"'()\[\]\u2018-\u201f\u00ab\u00bb-]*")
_TEXT_END = re.compile(rf"([{_ANY_MARK}])\W*$")

# Around the words of another language than the voice's: "(en)weekend(de)".
_LANGUAGE_FLAG = re.compile(r"\([^)]*\)")


@frozen(kw_only=True)
class Clause:
    """Words between two punctuation marks.

    phonemes: IPA in NFD, words separated by single spaces; never empty.
    mark: one of `. , ; : ? !`, or empty where none ended the clause.
    """

    phonemes: str
    mark: str


class EspeakEngine:
    """One private copy of eSpeak NG that speaks one language; not for two threads at once."""

    def __init__(self, language: str) -> None:
        api_class, library, data = _libraries()
        self._api = api_class(library, data)
        if self._api.set_voice_by_name(language.encode()) != 0:
            known = self._languages()
            raise UserError(
                f"eSpeak NG has no language '{language}'", hint=near_miss(language, known)
            )

    def clauses(self, text: str) -> list[Clause]:
        """The clauses of `text`, as eSpeak NG divides it; marks without words are left out."""
        if _SILENT.fullmatch(text):
            return []
        # A C string would end at a NUL.
        encoded = text.encode("utf-8", errors="replace").replace(b"\0", b" ")
        rest = ctypes.c_char_p(encoded)
        position = ctypes.c_void_p.from_buffer(rest)
        start = position.value or 0
        consumed = 0
        clauses: list[Clause] = []
        while position.value is not None:
            phonemes = self._api.text_to_phonemes(ctypes.byref(rest), _UTF8, _IPA)
            at_end = position.value is None
            until = len(encoded) if at_end else position.value - start
            read = encoded[consumed:until].decode(errors="ignore")
            consumed = until
            cleaned = _cleaned((phonemes or b"").decode())
            if cleaned:
                found = (_TEXT_END if at_end else _CLAUSE_END).search(read)
                mark = _MARK_OF[found.group(1)] if found else ""
                clauses.append(Clause(phonemes=cleaned, mark=mark))
        return clauses

    def _languages(self) -> list[str]:
        voices = self._api.list_voices(None)
        known: list[str] = []
        while voices[len(known)]:
            # A priority byte comes before the language's name.
            known.append(voices[len(known)].contents.languages[1:].decode())
        return known


class EspeakPool:
    """Engines that wait for work, by language: as many as were ever busy at once.

    An engine a thread would leak one for every short-lived thread, since a loaded library stays.
    """

    def __init__(self) -> None:
        self._idle: defaultdict[str, list[EspeakEngine]] = defaultdict(list)

    @contextmanager
    def engine(self, language: str) -> Iterator[EspeakEngine]:
        """An engine of this language for the caller alone, until the context ends."""
        try:
            # Appending to and popping from a list are atomic.
            engine = self._idle[language].pop()
        except IndexError:
            engine = EspeakEngine(language)
        yield engine
        self._idle[language].append(engine)


def _cleaned(phonemes: str) -> str:
    return unicodedata.normalize("NFD", " ".join(_LANGUAGE_FLAG.sub("", phonemes).split()))


def _libraries() -> tuple[Any, str, str]:
    try:
        import espeakng_loader
        from phonemizer.backend.espeak.api import EspeakAPI
    except ImportError as error:
        raise UserError(
            "Phonemes by eSpeak NG need the packages phonemizer and espeakng-loader",
            hint="pip install 'allophone[espeak]'",
        ) from error
    return EspeakAPI, espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
