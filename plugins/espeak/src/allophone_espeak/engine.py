"""eSpeak NG through ctypes: the phonemes and the final punctuation mark of each clause.

The shared library and its data come from the package `espeakng-loader`, so no system packages are
needed. The functions are declared in `speak_lib.h` of eSpeak NG's sources. The library keeps its
state in global variables, so each engine loads its own copy of the library, and only one thread at a time may
use an engine.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import espeakng_loader
from attrs import frozen

from allophone.errors import UserError
from allophone_espeak.languages import Languages, VoiceRecords, read_voices

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: no sound device is opened.
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT: without it, missing data ends the process.
_UTF8 = 1  # espeakCHARS_UTF8
_IPA = 2  # espeakPHONEMES_IPA

# Unicode characters that end a clause in the scripts that eSpeak NG supports, by the equivalent ASCII mark.
# A dash is a pause like a semicolon; an ellipsis has the falling intonation of a full stop.
_MARKS = {
    ".": ".\u2026\u3002\uff0e\uff61\u06d4\u0964\u0965\u0589\u1362\u17d4\u104b",
    ",": ",\uff0c\u3001\uff64\u060c\u055d\u1363\u104a",
    ";": ";\uff1b\u061b\u0387\u1364\u2013\u2014",
    ":": ":\uff1a\u1365",
    "?": "?\uff1f\u061f\u037e\u2047\u1367",
    "!": "!\uff01\u203c",
}
MARK_OF = {written: mark for mark, variants in _MARKS.items() for written in variants}
"""Maps the punctuation marks of all scripts to one of `. , ; : ? !`, which models know."""
_ANY_MARK = "".join(map(re.escape, MARK_OF))

# When it returns a clause, eSpeak NG has read up to two characters past the mark.
_CLAUSE_END = re.compile(rf"([{_ANY_MARK}])\W*\w{{0,2}}$")
# eSpeak NG would read some marks without words aloud: "exclamation".
_SILENT = re.compile(rf"[{_ANY_MARK}\s\"'()\[\]\u2018-\u201f\u00ab\u00bb-]*")
_TEXT_END = re.compile(rf"([{_ANY_MARK}])\W*$")

_POINTS = re.compile("[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]")

# eSpeak NG flags words in another language: "(en)weekend(de)".
_LANGUAGE_FLAG = re.compile(r"\([^)]*\)")


@frozen(kw_only=True)
class Clause:
    """Words between two punctuation marks.

    phonemes: IPA in NFD, words separated by single spaces; never empty.
    mark: one of `. , ; : ? !`, or empty if the clause has no final mark.
    """

    phonemes: str
    mark: str


class EspeakEngine:
    """Phonemizes one language with its own copy of the library; not thread-safe.

    Raises UserError if eSpeak NG does not support the language or cannot be initialised.
    """

    def __init__(self, language: str) -> None:
        voice = languages().by_code[languages().resolve(language)]
        self._library = _take_library()
        # Voices are looked up by file name.
        self._library.espeak_SetVoiceByName(voice.identifier.encode())

    def clauses(self, text: str) -> list[Clause]:
        """The clauses of `text`, as split by eSpeak NG; marks without words are dropped."""
        if _SILENT.fullmatch(text):
            return []
        # It would name each point of Hebrew.
        text = _POINTS.sub("", text)
        # A C string would end at a NUL.
        encoded = text.encode("utf-8", errors="replace").replace(b"\0", b" ")
        buffer = ctypes.create_string_buffer(encoded)
        start = ctypes.addressof(buffer)
        # Each call reads one clause and advances this pointer past it; after the last it is null.
        rest = ctypes.c_void_p(start)
        consumed = 0
        clauses: list[Clause] = []
        while rest.value is not None:
            phonemes = self._library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA)
            at_end = rest.value is None
            until = len(encoded) if rest.value is None else rest.value - start
            read = encoded[consumed:until].decode(errors="ignore")
            consumed = until
            cleaned = _cleaned((phonemes or b"").decode())
            if cleaned:
                found = (_TEXT_END if at_end else _CLAUSE_END).search(read)
                mark = MARK_OF[found.group(1)] if found else ""
                clauses.append(Clause(phonemes=cleaned, mark=mark))
        return clauses


@functools.cache
def languages() -> Languages:
    """What eSpeak NG can read here."""
    library = _take_library()
    voices = tuple(read_voices(library.espeak_ListVoices(None)))
    _unused.append(library)
    return Languages(voices=voices, data=Path(espeakng_loader.get_data_path()))


class EspeakPool:
    """Idle engines by language; the pool grows to the largest number used at the same time.

    An engine per thread would leak one for every short-lived thread, since libraries are never unloaded.
    """

    def __init__(self) -> None:
        self._idle: defaultdict[str, list[EspeakEngine]] = defaultdict(list)

    @contextmanager
    def engine(self, language: str) -> Iterator[EspeakEngine]:
        """An engine of this language for exclusive use within the context."""
        try:
            # Appending to and popping from a list are atomic.
            engine = self._idle[language].pop()
        except IndexError:
            engine = EspeakEngine(language)
        yield engine
        self._idle[language].append(engine)


def _cleaned(phonemes: str) -> str:
    return unicodedata.normalize("NFD", " ".join(_LANGUAGE_FLAG.sub("", phonemes).split()))


_unused: list[ctypes.CDLL] = []
"""Initialised libraries that are not in use."""
_started = itertools.count()


def _take_library() -> ctypes.CDLL:
    """An initialised library that no other engine uses."""
    try:
        return _unused.pop()
    except IndexError:
        # A process loads a path only once, so each library after the first is a copy of the file.
        return _start_library(copied=next(_started) > 0)


def _start_library(*, copied: bool) -> ctypes.CDLL:
    data = espeakng_loader.get_data_path()
    library = _load(espeakng_loader.get_library_path(), copied=copied)
    pointer = ctypes.POINTER
    signatures: dict[str, tuple[list[Any], Any]] = {
        "espeak_Initialize": (
            [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int],
            ctypes.c_int,
        ),
        "espeak_SetVoiceByName": ([ctypes.c_char_p], ctypes.c_int),
        "espeak_ListVoices": ([ctypes.c_void_p], VoiceRecords),
        "espeak_TextToPhonemes": (
            [pointer(ctypes.c_void_p), ctypes.c_int, ctypes.c_int],
            ctypes.c_char_p,
        ),
    }
    for name, (parameters, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = parameters, result
    # It returns the sample rate, or -1 on failure.
    if library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT) <= 0:
        raise UserError(
            f"eSpeak NG cannot read its data in {data}.",
            hint="The path must not be longer than 158 bytes. If it is not, reinstall the data: "
            "pip install --force-reinstall espeakng-loader",
        )
    return library


def _load(path: str, *, copied: bool) -> ctypes.CDLL:
    if not copied:
        return ctypes.CDLL(path)
    import shutil
    import tempfile

    # A loaded library survives the deletion of its file; only Windows refuses to delete it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return ctypes.CDLL(shutil.copy(path, folder))
