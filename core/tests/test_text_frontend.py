"""The front end: normalizer and phonemizer in turn, and raw phonemes past both of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allophone.errors import PluginError, UserError
from allophone.text.config import GraphemeConfig
from allophone.text.frontend import TextFrontend
from allophone.text.normalization import clean_text
from allophone.text.phonemizers import GraphemePhonemizer


class Recorder:
    """A phonemizer that spells its texts and remembers what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
        assert language == "en"
        self.calls.append(list(texts))
        return [list(text.upper()) for text in texts]


def spelled(text: str) -> str:
    frontend = TextFrontend(normalizer=clean_text, phonemizer=Recorder(), language="en")
    return "".join(frontend.symbols(text))


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("hello", "HELLO"),
        ("", ""),
        ("[[həlˈoʊ]]", "həlˈoʊ"),
        ("say [[həlˈoʊ]] twice", "SAY həlˈoʊ TWICE"),
        ("say[[həlˈoʊ]]twice", "SAYhəlˈoʊTWICE"),
        ("say  [[ həlˈoʊ ]]\ntwice", "SAY həlˈoʊ TWICE"),
        ("[[a]][[b]] [[c d]]", "ab c d"),
        ("oh [[a]], [[b]]? yes.", "OH a, b? YES."),
        ("end [[a]].", "END a."),
        ("a [[]] b", "A B"),
        (" [[a]] ", "a"),
        ("[[ɪ 5 $ ç]]", "ɪ 5 $ ç"),
    ],
)
def test_raw_phonemes_pass_untouched(text: str, symbols: str):
    assert spelled(text) == symbols


def test_a_phonemizer_that_gives_too_few_results_is_named():
    class Forgetful(Recorder):
        def phonemize(self, texts: Sequence[str], language: str) -> list[list[str]]:
            return super().phonemize(texts, language)[1:]

    frontend = TextFrontend(normalizer=clean_text, phonemizer=Forgetful(), language="en")
    with pytest.raises(PluginError, match="Forgetful gives 1 lists of symbols for 2 texts"):
        frontend.read(["one", "two"])


@pytest.mark.parametrize("text", ["a [[b", "a ]] b", "[[a [[b]]", "[[a]] b]]"])
def test_brackets_without_a_counterpart_are_an_error(text: str):
    with pytest.raises(UserError, match="Unbalanced"):
        spelled(text)


def test_a_batch_is_phonemized_in_one_call_and_equals_single_texts():
    phonemizer = Recorder()
    frontend = TextFrontend(normalizer=clean_text, phonemizer=phonemizer, language="en")
    texts = ["one [[a]] two", "", "[[b]]", "three"]
    together = [reading.symbols for reading in frontend.read(texts)]
    assert len(phonemizer.calls) == 1
    assert together == [frontend.symbols(text) for text in texts]


def test_what_cannot_be_read_is_told_for_each_text_but_not_of_raw_phonemes():
    class Choosy(Recorder):
        def unreadable(self, text: str, language: str) -> list[str]:
            return [word for word in text.split() if not word.isascii()]

    frontend = TextFrontend(normalizer=clean_text, phonemizer=Choosy(), language="en")
    readings = frontend.read(["é one è", "two", "[[ə]] ü"])
    assert [reading.unreadable for reading in readings] == [["é", "è"], [], ["ü"]]


def test_the_normalizer_sees_only_plain_text():
    frontend = TextFrontend(
        normalizer=lambda text: text.replace("3", "three").replace("5", "five"),
        phonemizer=GraphemePhonemizer(GraphemeConfig()),
        language="en-us",
    )
    assert "".join(frontend.symbols("I have 3 [[5]] dogs")) == "i have three 5 dogs"


def test_graphemes_are_the_characters():
    small = GraphemePhonemizer(GraphemeConfig())
    assert small.phonemize(["Ça  va?", ""], "fr") == [list("ça va?"), []]
    assert small.phonemize(["e\N{COMBINING ACUTE ACCENT}"], "fr") == [["é"]]
    kept = GraphemePhonemizer(GraphemeConfig(lowercase=False))
    assert kept.phonemize(["Ça"], "fr") == [["Ç", "a"]]


@given(
    pieces=st.lists(
        st.sampled_from(["a", " ", "[[x]]", "[[ y z ]]", ",", ". ", "b c"]), max_size=12
    )
)
def test_symbols_never_begin_or_end_with_a_space_nor_hold_two(pieces: list[str]):
    symbols = spelled("".join(pieces))
    assert symbols == symbols.strip()
    assert "  " not in symbols
