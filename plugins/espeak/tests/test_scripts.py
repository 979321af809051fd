"""What eSpeak NG cannot read is found before it is misread."""

from __future__ import annotations

import logging

import pytest

from allophone.data.manifest import Dropped, Utterance
from allophone.features.config import PhonemesConfig
from allophone.features.phonemes import PhonemesExtractor
from allophone.synthesis.script import read_script
from allophone.text.config import TextConfig
from allophone.text.frontend import build_frontend
from allophone.text.symbols import SymbolTable
from allophone_espeak.config import EspeakConfig
from allophone_espeak.engine import EspeakEngine, languages
from allophone_espeak.phonemizers import EspeakPhonemizer
from allophone_espeak.scripts import script_of

TEXT = TextConfig(phonemizer=EspeakConfig())


@pytest.mark.parametrize(
    ("language", "text", "unreadable"),
    [
        ("en-us", "Hello, world! Naïve Łódź, Dvořák; façade.", []),
        ("en-us", "He said 東京 twice.", ["東京"]),
        ("en-us", "(שלום), he wrote", ["שלום"]),
        ("en-us", 'She wrote "молоко".', ["молоко"]),
        ("en-us", "مرحبا means hello", ["مرحبا"]),
        ("en-us", "さくら and サクラ", ["さくら", "サクラ"]),
        ("en-us", "the number π, the word καλημέρα", ["καλημέρα"]),
        ("en-us", "5 µm, 1ª, 2º, ½, x²", []),
        ("en-us", "ไทย", ["ไทย"]),
        ("en-us", "a tick ✓ and a heart ❤", ["✓"]),
        ("de", "Straße nach Αθήνα", []),
        ("de", "Москва", ["Москва"]),
        ("ru", "Привет, London и IBM", []),
        ("sr", "Dobar dan, добар дан", []),
        ("he", "שָׁלוֹם עולם, London", []),
        ("ja", "とうきょう カメラ IBM", []),
        ("ja", "東京 banana", ["東京", "banana"]),
        ("cmn", "你好, London", []),
        ("cmn", "さくら", ["さくら"]),
        ("ko", "한국어 漢字", ["漢字"]),
        ("ar", "مَرْحَبًا", []),
        ("hi", "नमस्ते दुनिया", []),
        ("el", "καλημέρα", []),
        ("chr-us-qaaa-x-west", "ᏣᎳᎩ banana", ["banana"]),
    ],
)
def test_words_of_scripts_that_it_cannot_read_are_named(language, text, unreadable):
    assert EspeakPhonemizer(EspeakConfig()).unreadable(text, language) == unreadable


OWN = {
    "en": "banana",
    "ru": "молоко",
    "el": "καλημέρα",
    "he": "שלום",
    "ar": "سلام",
    "cmn": "你好",
    "ja": "さくら",
    "ko": "한국어",
    "te": "నమస్తే",
    "th": "สวัสดี",
    "my": "မြန်မာ",
    "am": "ሰላም",
    "or": "ନମସ୍କାର",
    "ka": "გამარჯობა",
}


@pytest.mark.parametrize("language", OWN)
def test_the_table_is_what_the_library_does(language):
    """A word that is spelled out has many phonemes a letter, whatever the language."""
    engine = EspeakEngine(language)
    for origin, word in OWN.items():
        spelled = len("".join(clause.phonemes for clause in engine.clauses(word))) / len(word)
        readable = not EspeakPhonemizer(EspeakConfig()).unreadable(word, language)
        most = 6 if origin in ("cmn", "ja", "ko", "am") else 3.9
        assert readable == (spelled < most), (origin, word, spelled)


def test_every_language_reads_a_script():
    phonemizer = EspeakPhonemizer(EspeakConfig())
    for code in languages().by_code:
        assert any(not phonemizer.unreadable(word, code) for word in OWN.values()), code


def test_points_of_hebrew_are_left_out():
    engine = EspeakEngine("he")
    assert engine.clauses("שָׁלוֹם") == engine.clauses("שלום")


@pytest.mark.parametrize(
    ("character", "script"),
    [
        ("a", "LATIN"),
        ("東", "CJK"),
        ("ß", "LATIN"),
        ("1", None),
        ("µ", None),
        ("ー", None),
        ("✓", None),
    ],
)
def test_scripts_of_characters(character, script):
    assert script_of(character) == script


def test_what_is_spoken_is_warned_of_by_name(caplog):
    caplog.set_level(logging.WARNING)
    frontend = build_frontend(TEXT)
    symbols = {*frontend.symbols("Hello 東京."), *"təʊkjəʊ"}
    table = SymbolTable(ids={symbol: id for id, symbol in enumerate(sorted(symbols))})
    read_script("Hello 東京. Hello.", frontend, table)
    assert [one.getMessage() for one in caplog.records] == ["Cannot be read in 'en-us': '東京'"]
    caplog.clear()
    read_script("Hello [[təʊkjəʊ]].", frontend, table)
    assert not caplog.records, "phonemes are not text"


class Context:
    def __init__(self):
        self.text_key = {}

    def frontend(self, language):
        return build_frontend(TEXT, language)


def test_what_is_trained_on_is_left_out_and_counted_under_a_reason_of_its_own():
    texts = ["Hello.", "Hello 東京.", "Привет.", "..."]
    utterances = [
        Utterance(id=f"u{index}", audio="a.wav", text=text) for index, text in enumerate(texts)
    ]
    good, kanji, cyrillic, empty = PhonemesExtractor(PhonemesConfig(), Context()).extract(
        utterances
    )
    assert not isinstance(good, Dropped)
    assert kanji == Dropped(reason="unreadable words", detail="東京")
    assert cyrillic == Dropped(reason="unreadable words", detail="Привет")
    assert empty.reason == "empty text"
