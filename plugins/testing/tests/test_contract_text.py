"""The contracts of phonemizers and normalizers pass for what is right, and name each mistake."""

from __future__ import annotations

from typing import ClassVar

import pytest
import text_toys
from attrs import frozen
from text_toys import (
    Accepting,
    Adjusted,
    Bare,
    Doubling,
    Located,
    Renamed,
    Resolving,
    Silent,
    Spelling,
    SpellingConfig,
    Strict,
    Untidy,
    count,
    normalizer_registry,
    phonemizer_registry,
)

from allophone.errors import UserError
from allophone.text.config import GraphemeConfig
from allophone.text.normalization import clean_text
from allophone_testing import NormalizerContract, PhonemizerContract


class TestGraphemes(PhonemizerContract):
    """The core's own phonemizer keeps it."""

    phonemizer = "graphemes"
    unknown_language = None


class TestGraphemesAsTheyAre(PhonemizerContract):
    phonemizer = "graphemes"
    config = GraphemeConfig(lowercase=False)
    unknown_language = None


class SpellingContract(PhonemizerContract):
    phonemizer = "spelling"


class TestSpelling(SpellingContract):
    """One that refuses languages keeps it too."""

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        return phonemizer_registry("Spelling")


@pytest.mark.parametrize(
    ("phonemizer", "test", "said"),
    [
        ("Short", "test_it_gives_symbols", "3 texts give 2 results"),
        ("Nested", "test_it_gives_symbols", "gives a str; expected a list of symbols"),
        ("Empty", "test_it_gives_symbols", "gives the symbol ''"),
        ("Numbered", "test_it_gives_symbols", "gives the symbol 66"),
        ("Mute", "test_it_gives_symbols", "in which nothing is spoken"),
        ("Tabbed", "test_a_single_space_stands_between_words", r"gives \{'\\t'\}"),
        ("Spaced", "test_a_single_space_stands_between_words", "begin or end with a space"),
        ("Doubled", "test_a_single_space_stands_between_words", "two spaces after each other"),
        ("Framed", "test_what_says_nothing_gives_no_symbols", r"'' gives \[\['\^', '\$'\]\]"),
        ("Plain", "test_punctuation_is_kept", "'.' after each of two clauses gives 0 symbols"),
        ("Heard", "test_a_batch_gives_what_its_texts_give", "keep nothing from one text"),
        ("Shared", "test_other_threads_give_the_same", "guard what they share with a lock"),
        ("Patient", "test_an_unknown_language_is_an_error", "is read as if it were known"),
        ("Blunt", "test_an_unknown_language_is_an_error", "raises KeyError: 'no-such-language'"),
        ("Vague", "test_an_unknown_language_is_an_error", "does not name the language"),
        ("Other", "test_languages_are_resolved", "'EN-US' is resolved to 'en-gb'"),
        ("American", "test_languages_are_resolved", "'us' gives other symbols than 'en-us'"),
        ("Western", "test_strange_characters_are_read_or_refused", "raises UnicodeEncodeError"),
        ("Numbered", "test_strange_characters_are_read_or_refused", "expected strings"),
    ],
)
def test_a_phonemizer_that_breaks_it_is_noticed(phonemizer, test, said):
    with pytest.raises((AssertionError, pytest.fail.Exception), match=said):
        getattr(SpellingContract(), test)(getattr(text_toys, phonemizer)(SpellingConfig()))


def test_a_phonemizer_that_resolves_languages_as_it_should_passes():
    SpellingContract().test_languages_are_resolved(Resolving(SpellingConfig()))


def test_a_phonemizer_whose_code_is_not_its_own_is_noticed():
    with pytest.raises(UserError, match="no language 'en' here"):
        SpellingContract().test_languages_are_resolved(Renamed(SpellingConfig()))


def test_a_phonemizer_that_resolves_an_unknown_language_is_noticed():
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        SpellingContract().test_languages_are_resolved(Accepting(SpellingConfig()))


def test_a_config_that_cannot_be_a_key_is_noticed():
    @frozen(kw_only=True)
    class Table:
        letters: dict

    with pytest.raises(pytest.fail.Exception, match="cannot be hashed: unhashable type: 'dict'"):
        SpellingContract().test_its_config_can_be_a_key(Table(letters={}))


def test_a_phonemizer_of_any_language_that_tells_them_apart_is_noticed():
    class Accented(Spelling):
        def phonemize(self, texts, language):
            return [[*self.spell(text), language] for text in texts]

    contract = SpellingContract()
    contract.unknown_language = None
    with pytest.raises(AssertionError, match="languages make no difference, and one does"):
        contract.test_an_unknown_language_is_an_error(Accented(SpellingConfig()))


def test_a_phonemizer_that_a_process_decides_is_noticed():
    registry, config = phonemizer_registry("Located"), SpellingConfig()
    with pytest.raises(AssertionError, match="In another process 'Boats came home.' gives other"):
        SpellingContract().test_another_process_gives_the_same(registry, config, Located(config))


def test_a_phonemizer_that_its_table_does_not_decide_is_noticed(monkeypatch):
    registry, config = phonemizer_registry("Adjusted"), SpellingConfig()
    monkeypatch.setattr(Adjusted, "shouting", {id(config)})
    with pytest.raises(AssertionError, match="everything that decides belongs into the config"):
        SpellingContract().test_its_table_decides_what_it_gives(registry, config, Adjusted(config))


class NumbersContract(NormalizerContract):
    language = "qaa"  # Nobody's: a code for private use.
    examples: ClassVar = {"3 boats.": "three boats."}

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        return normalizer_registry("Counting")


class TestNumbers(NumbersContract):
    """A normalizer that is as it should be keeps it."""


@pytest.mark.parametrize(
    ("normalize", "test", "said"),
    [
        (clean_text, "test_it_writes_out", "'3 boats.' gives '3 boats.'; expected 'three"),
        (lambda text: [text], "test_it_writes_out", "gives a list; expected str"),
        (Doubling(), "test_words_are_left_alone", "written out already, becomes"),
        (Bare(), "test_punctuation_is_kept", "leave punctuation to the phonemizer"),
        (Silent(), "test_what_says_nothing_stays_empty", "'' gives 'nothing'"),
        (Untidy(), "test_texts_are_cleaned", "begin with allophone.text.normalization.clean_text"),
        (Strict(), "test_texts_are_cleaned", "raises UnicodeEncodeError"),
    ],
)
def test_a_normalizer_that_breaks_it_is_noticed(normalize, test, said):
    with pytest.raises((AssertionError, pytest.fail.Exception), match=said):
        getattr(NumbersContract(), test)(normalize)


@pytest.mark.parametrize(
    ("normalizer", "said"),
    [("Forgetting", "keep no state"), ("Local", "In another process '3 boats.' becomes another")],
)
def test_a_normalizer_that_does_not_repeat_itself_is_noticed(normalizer, said):
    with pytest.raises(AssertionError, match=said):
        NumbersContract().test_it_says_the_same_again(
            normalizer_registry(normalizer), getattr(text_toys, normalizer)()
        )


def test_a_contract_without_examples_is_noticed():
    class Nothing(NumbersContract):
        examples: ClassVar = {}

    with pytest.raises(AssertionError, match="Name some texts"):
        Nothing().test_it_writes_out(count)
