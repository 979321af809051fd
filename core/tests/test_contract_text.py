"""The contracts of phonemizers and normalizers pass for what is right, and name each mistake."""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import ClassVar

import pytest
from attrs import frozen

from allophone.entries import NormalizerEntry, PhonemizerEntry
from allophone.errors import UserError
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone.testing import NormalizerContract, PhonemizerContract
from allophone.text.config import GraphemeConfig
from allophone.text.normalization import clean_text


class TestGraphemes(PhonemizerContract):
    """The core's own phonemizer keeps it."""

    phonemizer = "graphemes"
    unknown_language = None


class TestGraphemesAsTheyAre(PhonemizerContract):
    phonemizer = "graphemes"
    config = GraphemeConfig(lowercase=False)
    unknown_language = None


@frozen(kw_only=True)
class SpellingConfig:
    """The table of the phonemizer `spelling`."""

    upper: bool = False


class Spelling:
    """One symbol a character, in English."""

    def __init__(self, config):
        self.upper = config.upper

    def phonemize(self, texts, language):
        if language != "en-us":
            raise UserError(f"There is no language '{language}' here.")
        return [self.spell(text) for text in texts]

    def spell(self, text):
        words = " ".join(text.split())
        return list(words.upper() if self.upper else words)


class Heard(Spelling):
    """It remembers whether it has read anything."""

    seen = 0

    def spell(self, text):
        self.seen += 1
        return [*super().spell(text), *("!" if text.strip() and self.seen % 3 else "")]


class Shared(Spelling):
    """What it is reading is kept where other threads change it."""

    def spell(self, text):
        self.text = text
        time.sleep(1e-3)
        return super().spell(self.text)


class Located(Spelling):
    """What it says depends on the process."""

    def spell(self, text):
        return [*super().spell(text), str(os.getpid())] if text.strip() else []


class Adjusted(Spelling):
    """Its config says less than is decided by."""

    shouting: ClassVar = set()

    def __init__(self, config):
        super().__init__(config)
        self.upper = id(config) in self.shouting


def spelled(change):
    """A phonemizer whose symbols of each text go through `change`."""

    class Changed(Spelling):
        def spell(self, text):
            return change(super().spell(text))

    return Changed


Nested = spelled(lambda symbols: "".join(symbols))
Empty = spelled(lambda symbols: ["", *symbols])
Numbered = spelled(lambda symbols: [ord(symbol) for symbol in symbols])
Mute = spelled(lambda symbols: [symbol for symbol in symbols if not symbol.isalnum()])
Plain = spelled(lambda symbols: [one for one in symbols if one.isalnum() or one == " "])
Framed = spelled(lambda symbols: ["^", *symbols, "$"])
Spaced = spelled(lambda symbols: [*symbols, " "])
Doubled = spelled(lambda symbols: [two for one in symbols for two in (one, *one[one != " " :])])
Tabbed = spelled(lambda symbols: ["\t" if one == " " else one for one in symbols])


class Short(Spelling):
    def phonemize(self, texts, language):
        return super().phonemize(texts, language)[1:]


class Patient(Spelling):
    def phonemize(self, texts, language):
        return super().phonemize(texts, "en-us")


class Blunt(Spelling):
    def phonemize(self, texts, language):
        return {"en-us": super().phonemize}[language](texts, language)


class Vague(Spelling):
    def phonemize(self, texts, language):
        if language != "en-us":
            raise UserError("This cannot be read.")
        return super().phonemize(texts, language)


class Resolving(Spelling):
    """It resolves a language by `codes`."""

    codes: ClassVar = {"en-us": "en-us", "en_us": "en-us", "EN-US": "en-us"}

    def resolve(self, language):
        if language not in self.codes:
            raise UserError(f"There is no language '{language}' here.")
        return self.codes[language]


def resolving(**codes):
    codes = {name.replace("_", "-"): code for name, code in codes.items()}
    return type("Changed", (Resolving,), {"codes": {**Resolving.codes, **codes}})


Renamed = resolving(en_us="en")
Other = resolving(EN_US="en-gb")
Accepting = resolving(no_such_language="en-us")


class American(Resolving):
    codes: ClassVar = {"en-us": "us", "us": "us", "en_us": "us", "EN-US": "us"}

    def phonemize(self, texts, language):
        return [[*self.spell(text), language] for text in texts]


class Western(Spelling):
    def spell(self, text):
        return list(super().spell(text.encode("latin-1").decode("latin-1")))


def phonemizer_registry(phonemizer):
    module = ModuleType("inline")
    module.CONTRACT = 1
    entry = PhonemizerEntry(
        name="spelling",
        summary="Letters.",
        config=f"{__name__}:SpellingConfig",
        phonemizer=f"{__name__}:{phonemizer}",
    )
    module.allophone_phonemizers = hookimpl(lambda: [entry])
    return build_registry({"inline": module})


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
        getattr(SpellingContract(), test)(globals()[phonemizer](SpellingConfig()))


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


def count(text):
    """What a normalizer of small numbers makes of a text."""
    return clean_text(text).replace("3", "three")


class NumbersContract(NormalizerContract):
    language = "qaa"  # Nobody's: a code for private use.
    examples: ClassVar = {"3 boats.": "three boats."}

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        return normalizer_registry("Counting")


class TestNumbers(NumbersContract):
    """A normalizer that is as it should be keeps it."""


class Counting:
    def __call__(self, text):
        return count(text)


class Doubling(Counting):
    def __call__(self, text):
        return super().__call__(text).replace("three", "three, three")


class Bare(Counting):
    def __call__(self, text):
        return super().__call__(text).replace(";", "").strip(".")


class Untidy(Counting):
    def __call__(self, text):
        return text.replace("3", "three")


class Silent(Counting):
    def __call__(self, text):
        return super().__call__(text) or "nothing"


class Strict(Counting):
    def __call__(self, text):
        return super().__call__(text.encode("latin-1").decode("latin-1"))


class Forgetting(Counting):
    """It writes out a number once."""

    done = False

    def __call__(self, text):
        if "3" in text and not self.done:
            self.done = True
            return super().__call__(text)
        return clean_text(text)


class Local(Counting):
    def __call__(self, text):
        return f"{super().__call__(text)} {os.getpid()}"


def normalizer_registry(normalizer):
    module = ModuleType("inline")
    module.CONTRACT = 1
    entry = NormalizerEntry(language="qaa", summary="Three.", normalizer=f"{__name__}:{normalizer}")
    module.allophone_normalizers = hookimpl(lambda: [entry])
    return build_registry({"inline": module})


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
            normalizer_registry(normalizer), globals()[normalizer]()
        )


def test_a_contract_without_examples_is_noticed():
    class Nothing(NumbersContract):
        examples: ClassVar = {}

    with pytest.raises(AssertionError, match="Name some texts"):
        Nothing().test_it_writes_out(count)
