"""English as it is read aloud."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allophone.frontend import build_frontend
from allophone.testing.light import heavy_imports
from allophone.text.config import GraphemeConfig, TextConfig
from allophone_english.normalizer import EnglishNormalizer
from allophone_english.numbers import cardinal, decade, number, ordinal, year

english = EnglishNormalizer()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        # numbers
        ("I have 3 dogs.", "I have three dogs."),
        ("10,000 of 1234567", "ten thousand of one million two hundred and thirty four thousand "
         "five hundred and sixty seven"),
        ("3.14 and 0.05 and .5", "three point one four and zero point zero five and point five"),
        ("-3 below", "minus three below"),
        ("agent 007", "agent zero zero seven"),
        ("the 1st, 22nd and 101st", "the first, twenty second and one hundred and first"),
        ("HTML5 and 4K on B2B", "HTML five and four K on B two B"),
        ("pages 10-20", "pages ten to twenty"),
        ("a 3:1 ratio", "a three to one ratio"),
        ("version 2.0.1.", "version two dot zero dot one."),
        ("half is 1/2, then 3/4", "half is one half, then three quarters"),
        ("2 1/2 or 2½ cups", "two and a half or two and a half cups"),
        ("open 24/7", "open twenty four seven"),
        # years and decades
        ("in 1905 and 1999", "in nineteen oh five and nineteen ninety nine"),
        ("1914-1918", "nineteen fourteen to nineteen eighteen"),
        ("2024 or 2005", "twenty twenty four or two thousand and five"),
        ("the 1990s, the '80s and the 1900s",
         "the nineteen nineties, the eighties and the nineteen hundreds"),
        # money
        ("It costs $5.50.", "It costs five dollars and fifty cents."),
        ("$1, $0.99 and $1,000", "one dollar, ninety nine cents and one thousand dollars"),
        ("£2.01 or €30", "two pounds and one penny or thirty euros"),
        ("$3 million and $2.5bn", "three million dollars and two point five billion dollars"),
        # dates
        ("on Jan. 5th, 2024", "on January fifth, twenty twenty four"),
        ("on July 4", "on July fourth"),
        ("on 31 December 1999", "on the thirty first of December nineteen ninety nine"),
        ("the 4th of July", "the fourth of July"),
        ("2020-05-03", "May third, twenty twenty"),
        ("12/31/1999 or 31/12/1999",
         "December thirty first, nineteen ninety nine or December thirty first, nineteen ninety nine"),
        ("You may 5 times", "You may five times"),
        # times
        ("at 10:15 or 17:45", "at ten fifteen or seventeen forty five"),
        ("at 5:00 or 7:05", "at five o'clock or seven oh five"),
        ("at 5:30 p.m. today", "at five thirty PM today"),
        ("at 9am", "at nine AM"),
        ("It is 6 a.m. The sun rises.", "It is six AM. The sun rises."),
        ("It ends at 6 p.m.", "It ends at six PM."),
        # measures
        ("5 km in 25 min.", "five kilometers in twenty five minutes."),
        ("1 kg or 2.5kg", "one kilogram or two point five kilograms"),
        ("at 60 mph, 12 km/h", "at sixty miles per hour, twelve kilometers per hour"),
        ("50% of -5°C", "fifty percent of minus five degrees Celsius"),
        ("5'10\" tall", "five feet ten inches tall"),
        # telephones, addresses
        ("Call 555-123-4567.", "Call five five five, one two three, four five six seven."),
        ("+1 (555) 123-4567",
         "plus one, five five five, one two three, four five six seven"),
        ("see https://www.example.com/a-b.", "see www dot example dot com slash a dash b."),
        ("me@example.com", "me at example dot com"),
        # abbreviations
        ("Mr. and Mrs. Lee met Dr. Ng.", "Mister and Missus Lee met Doctor Ng."),
        ("fruit, e.g. apples, i.e. food", "fruit, for example apples, that is food"),
        ("cats vs. dogs, etc.", "cats versus dogs, et cetera."),
        ("Beans, etc. Then rice, etc. and salt",
         "Beans, et cetera. Then rice, et cetera and salt"),
        ("No. 5 is no. Then No. 6.", "number five is no. Then number six."),
        ("No. That is wrong.", "No. That is wrong."),
        ("at 5 Main St. in St. Louis", "at five Main Street in Saint Louis"),
        ("He lives on Main St.", "He lives on Main Street."),
        ("Acme Inc. and Sons Ltd.", "Acme Incorporated and Sons Limited."),
        ("vol. 2, pp. 5-6, fig. 3", "volume two, pages five to six, figure three"),
        ("the U.S. economy and the F.B.I.", "the US economy and the FBI."),
        ("J. R. R. Tolkien, J.R.R. Tolkien", "J R R Tolkien, JRR Tolkien"),
        ("William H. Gates", "William H Gates"),
        # Roman numerals
        ("World War II, Chapter IV", "World War two, Chapter four"),
        ("Henry VIII and Louis XIV", "Henry the eighth and Louis the fourteenth"),
        ("a DVD, a CD and I", "a DVD, a CD and I"),
        # symbols
        ("Tom & Jerry @ home #1", "Tom and Jerry at home number one"),
        ("2+2=4", "two plus two equals four"),
        ("C# and/or C++", "C hash and or C plus plus"),
        # what needs nothing
        ("It's \"quoted\" - really (yes)... ok?", "It's \"quoted\" - really (yes)... ok?"),
        ("He said: I'm 25, she's 30!", "He said: I'm twenty five, she's thirty!"),
        ("", ""),
    ],
)  # fmt: skip
def test_english_is_written_out_in_the_order_of_the_text(written: str, said: str):
    assert english(written) == said


@given(st.text(max_size=60))
def test_no_text_breaks_the_normalizer_and_no_ascii_digit_is_left(text: str):
    said = english(text)
    assert not any("0" <= character <= "9" for character in said)
    assert said == " ".join(said.split())


ODD = "$£#%&@+-/=<>*^°½:.,'\"x 0123456789st ampM.kgIVX"


@given(st.text(alphabet=ODD, max_size=30))
def test_odd_mixtures_of_digits_and_symbols_are_read_somehow(text: str):
    assert not any(character.isdecimal() for character in english(text))


@given(st.integers(0, 10**15 - 1))
def test_words_do_not_depend_on_how_digits_are_grouped(value: int):
    assert cardinal(f"{value:,}") == cardinal(str(value))


def test_number_words():
    assert cardinal("1001") == "one thousand and one"
    assert cardinal("1" + "0" * 15) == "one" + " zero" * 15
    assert ordinal("12") == "twelfth"
    assert ordinal("1" * 16) == " ".join(["one"] * 16) + "th"
    assert [year(y) for y in ("1900", "2000", "2009", "2010", "1066")] == [
        "nineteen hundred", "two thousand", "two thousand nine", "twenty ten", "ten sixty six",
    ]  # fmt: skip
    assert [decade(d) for d in ("1910", "20", "2000")] == [
        "nineteen tens", "twenties", "two thousands",
    ]  # fmt: skip
    assert number("1,234.50") == "one thousand two hundred and thirty four point five zero"


@pytest.mark.parametrize("language", ["en", "en-us", "en-gb"])
def test_every_english_is_read_so_and_no_other_language(language: str):
    def symbols(language: str, *, normalize: bool = True) -> str:
        text = TextConfig(phonemizer=GraphemeConfig(), normalize=normalize)
        return "".join(build_frontend(text, language).symbols("3 dogs [[5]]"))

    assert symbols(language) == "three dogs 5"
    assert symbols(language, normalize=False) == "3 dogs 5"
    assert symbols("fr") == "3 dogs 5"


def test_numbers_alone_load_num2words():
    """It takes longer to import than all the rest."""
    code = "from allophone_english.normalizer import EnglishNormalizer as N; print(N()('{}'))"
    assert heavy_imports(code.format("Mr. Fox, etc."), {"num2words"}) == {}
    assert set(heavy_imports(code.format("3 foxes"), {"num2words"})) == {"num2words"}
