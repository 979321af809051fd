"""What holds of every English text; `test_cases` has the readings."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.frontend import build_frontend
from allophone.text.normalization import clean_text
from allophone_english.classes.verbatim import SILENT
from allophone_english.grammar import grammar
from allophone_english.normalizer import EnglishNormalizer
from allophone_english.numbers import cardinal, decade, label, number, ordinal, plain, year
from allophone_english.tokens import Rule
from allophone_testing.light import HEAVY, heavy_imports

english = EnglishNormalizer()


@given(st.text(max_size=60))
def test_no_text_breaks_the_normalizer_and_no_ascii_digit_is_left(text: str):
    said = english(text)
    assert not any("0" <= character <= "9" for character in said)
    assert said == " ".join(said.split())


ODD = "$£#%&@+-/=<>*^°½:.,'\"x 0123456789st ampM.kgIVX"


@given(st.text(alphabet=ODD, max_size=30))
def test_odd_mixtures_of_digits_and_symbols_are_read_somehow(text: str):
    assert not any(character.isdecimal() for character in english(text))


@given(st.text(alphabet=ODD, max_size=40) | st.text(max_size=40))
def test_every_character_belongs_to_a_token_and_only_decoration_is_silent(text: str):
    end = 0
    cleaned = clean_text(text)
    for token in english.tokens(text):
        assert not cleaned[end : token.start].strip()
        assert token.end > token.start
        assert token.words or cleaned[token.start : token.end] in (*SILENT, "/")
        end = token.end
    assert not cleaned[end:].strip()


WORDS = st.sampled_from(["stone", "river", "blue", "walks", "don't", "naïve", "house", "Alice"])
MARKS = st.sampled_from(
    [" ", ", ", ". ", " - ", "; ", " (", ") ", "/", "*", "_", " & ", " 5 ", "!"]
)


@given(st.lists(st.tuples(WORDS, MARKS), max_size=12))
def test_no_word_is_dropped_or_moved(pieces: list[tuple[str, str]]):
    said = english("".join(word + mark for word, mark in pieces))
    end = 0
    for word, _ in pieces:
        assert word in said[end:]
        end = said.index(word, end) + len(word)


HOSTILE = [
    "1", "a", "A", "1,", "1,111,", "1.", "1-", "1/", "1:", "1 ", "1'", "$1-", "-", "+1 ", "(1", "A.", "a.a", "a@", "a-",
    "/a", "\\a", "http://a", "www.", "#a", "a1", "A1-", "IV", "X ", "I and ", "1½", "1⁶", "1°1'", "1\"", "%", "1 AD ",
    "Jan 1 ", "Mon-", "1am-", "A St. ", "v1.", "1.1.1", "000-", "1x", "a/", "1=", "1 000", "1st ", "1/2 ", "A&", "555-",
    "US$", "1 USD ", "A1B2", "10:10-", "1 kg/", "m2", "🙂", "é", "<a", "e.g.",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_no_text_makes_a_pattern_backtrack_without_end(unit: str):
    started = time.process_time()
    english((unit * 4000)[:4000])
    assert time.process_time() - started < 3


def test_the_time_of_a_text_is_linear_in_its_length():
    """Quadratic time would be minutes for this; it takes a few seconds on a busy machine."""
    text = "".join(unit * (100_000 // len(HOSTILE) // len(unit)) for unit in HOSTILE)
    started = time.process_time()
    english(text)
    assert time.process_time() - started < 30


@pytest.mark.parametrize("rule", grammar().rules, ids=lambda rule: rule.example)
def test_every_rule_makes_a_token_of_its_example(rule: Rule):
    assert rule in [token.rule for token in english.tokens(rule.example)]


@pytest.mark.parametrize("rule", grammar().rules, ids=lambda rule: rule.example)
def test_no_pattern_reaches_without_bounds(rule: Rule):
    """Else a text could make each of its tokens look at all the rest, in quadratic time."""
    bare = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "x", re.sub(r"\\.", "x", rule.pattern))
    assert not re.search(r"[+*]|\{\d*,\}", re.sub(r"#.*", "", bare))


def test_a_text_is_read_without_heavy_packages():
    """Importing num2words, which spells numbers too, takes as long as all the rest of reading."""
    code = "from allophone_english.normalizer import EnglishNormalizer as N; print(N()('3 foxes'))"
    assert heavy_imports(code, {*HEAVY, "num2words"}) == {}


@given(st.integers(0, 10**15 - 1))
def test_words_do_not_depend_on_how_digits_are_grouped(value: int):
    for written in (f"{value:,}", f"{value:,}".replace(",", "'"), f"{value:,}".replace(",", " ")):
        assert cardinal(plain(written)) == cardinal(str(value))


@given(st.integers(0, 10**15 - 1))
def test_different_numbers_have_different_words(value: int):
    """The words are added up again, as a listener does."""
    ones = {cardinal(str(one)): one for one in range(100)}
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    total = group = 0
    tens = 0
    for word in cardinal(str(value)).split():
        if word == "hundred":
            group, tens = 100 * tens, 0
        elif word in scales:
            total, group, tens = total + scales[word] * (group + tens), 0, 0
        elif word != "and":
            tens += ones[word]
    assert total + group + tens == value


def test_number_words():
    assert cardinal("1001") == "one thousand and one"
    assert cardinal("1" + "0" * 15) == "one" + " zero" * 15
    assert ordinal("12") == "twelfth"
    assert ordinal("1" * 16) == " ".join(["one"] * 16) + "th"
    assert [ordinal(o) for o in ("1", "20", "101", "1000")] == [
        "first", "twentieth", "one hundred and first", "one thousandth",
    ]  # fmt: skip
    assert [year(y) for y in ("1900", "2000", "2009", "2010", "1066", "476")] == [
        "nineteen hundred", "two thousand", "two thousand nine", "twenty ten", "ten sixty six", "four seventy six",
    ]  # fmt: skip
    assert [decade(d) for d in ("1910", "20", "2000")] == [
        "nineteen tens", "twenties", "two thousands",
    ]  # fmt: skip
    assert [label(n) for n in ("7", "380", "101", "500", "1408", "007", "90210")] == [
        "seven", "three eighty", "one oh one", "five hundred", "fourteen oh eight", "zero zero seven",
        "nine zero two one zero",
    ]  # fmt: skip
    assert number(plain("1,234.50")) == "one thousand two hundred and thirty four point five zero"
    assert [plain(p) for p in ("1.234,5", "27,50", "12,34,567", "1.234")] == [
        "1234.5", "27.50", "1234567", "1.234",
    ]  # fmt: skip
    assert plain("1.234", decimal_comma=True) == "1234"


@pytest.mark.parametrize("language", ["en", "en-us", "en-gb"])
def test_every_english_is_read_so_and_no_other_language(language: str):
    def symbols(language: str, *, normalize: bool = True) -> str:
        text = TextConfig(phonemizer=GraphemeConfig(), normalize=normalize)
        return "".join(build_frontend(text, language).symbols("3 dogs [[5]]"))

    assert symbols(language) == "three dogs 5"
    assert symbols(language, normalize=False) == "3 dogs 5"
    assert symbols("fr") == "3 dogs 5"
