"""Our binding of eSpeak NG gives exactly the symbols of phonemizer's binding."""

from __future__ import annotations

import ctypes
import functools
import itertools
import re
import tomllib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import espeakng_loader
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonemizer.backend.espeak.api import EspeakAPI

from allophone_espeak.config import EspeakConfig
from allophone_espeak.engine import EspeakEngine, languages
from allophone_espeak.phonemizers import EspeakPhonemizer

SENTENCES: dict[str, list[str]] = tomllib.loads(
    (Path(__file__).parent / "data" / "sentences.toml").read_text("utf-8")
)
JOINTS = itertools.cycle([" ", ", ", "; ", " — ", ": ", "... ", "\n", "! "])


def texts(language: str) -> list[str]:
    """The sentences of a language, and every two neighbours as one text."""
    single = SENTENCES[language]
    pairs = [f"{one}{next(JOINTS)}{two}" for one, two in itertools.pairwise(single)]
    return [*single, *pairs]


@functools.cache
def reference(language: str) -> EspeakAPI:
    """phonemizer's binding of the same library."""
    api = EspeakAPI(espeakng_loader.get_library_path(), espeakng_loader.get_data_path())
    assert api.set_voice_by_name({"en-gb": "en"}.get(language, language).encode()) == 0
    return api


def theirs(language: str, text: str) -> str:
    """The phonemes of `text` by phonemizer's binding, which keeps no marks, without flags of languages."""
    rest = ctypes.c_char_p(text.encode())
    clauses = []
    while rest.value is not None:
        clauses.append(reference(language).text_to_phonemes(ctypes.byref(rest), 1, 2))
    phonemes = re.sub(r"\([^)]*\)", "", " ".join(clause.decode() for clause in clauses if clause))
    return unicodedata.normalize("NFD", " ".join(phonemes.split()))


def without_marks(symbols: Iterable[str]) -> str:
    """Some languages have a "." of their own among their phonemes."""
    return "".join(symbol for symbol in symbols if symbol not in ".,;:?!")


def test_there_are_enough_sentences():
    assert sum(len(texts(language)) for language in SENTENCES) > 200
    assert len(SENTENCES) >= 20


@pytest.mark.parametrize("language", SENTENCES)
def test_phonemes_equal_those_of_phonemizer(language: str):
    written = texts(language)
    ours = EspeakPhonemizer(EspeakConfig()).phonemize(written, language)
    for text, symbols in zip(written, ours, strict=True):
        assert without_marks(symbols) == without_marks(theirs(language, text)), text


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="abcdeéñ ßTHO019.,;:?!-—'\"()\n", min_size=1, max_size=40))
def test_unusual_texts(text: str):
    # Texts of marks alone say nothing here; eSpeak NG names some of the marks.
    if any(character.isalnum() for character in text):
        symbols = EspeakPhonemizer(EspeakConfig()).phonemize([text], "en-us")[0]
        assert without_marks(symbols) == theirs("en-us", text)


def test_languages_equal_those_of_phonemizer():
    voices = reference("en-us").list_voices(None)
    listed = itertools.takewhile(bool, (voices[index] for index in itertools.count()))
    codes = {voice.contents.languages[1:].decode().lower() for voice in listed}
    assert len(codes) > 100
    assert codes <= set(languages().by_code)


def test_every_listed_language_works():
    """Many of them are no names of voices, which alone eSpeak NG looks for by itself."""
    for language in ("en-gb", "fr-fr", "en-us", "en", "ru", "chr-US-Qaaa-x-west"):
        assert EspeakEngine(language).clauses("Hello."), language
