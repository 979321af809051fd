"""What the text front end expects of phonemizers and normalizers: their contracts.

from allophone_testing import NormalizerContract, PhonemizerContract

class TestPhonemizer(PhonemizerContract):
    phonemizer = "mine"
    language = "non"
    texts = ("Heill!", "Sæll ok blessaðr.")

class TestNormalizer(NormalizerContract):
    language = "non"
    examples = {"3 skip": "þrjú skip"}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from threading import Barrier
from typing import Any, TypeVar

import pytest

from allophone.config import structure, unstructure
from allophone.entries import NormalizerEntry, PhonemizerEntry, Ref
from allophone.errors import UserError
from allophone.registry import Registry
from allophone.text.config import TextConfig
from allophone.text.normalization import clean_text
from allophone.text.phonemizers import Phonemizer
from allophone_testing.contract import Contract

Symbols = list[list[str]]
Result = TypeVar("Result")

THREADS = 4
STRANGE = ("\u65e5\u672c\u8a9e", "\U0001f600", "e\u0301\u0327", "% $ # @ ~", "a\x00b", "\u200b")
"""Other scripts, a picture, combining marks, signs, a control character, and what cannot be seen."""

UNTIDY = " \u201cWell\u201d,\n  it\u2019s\u00a0cafe\u0301\x07 . "
"""What `clean_text` straightens: quotes, white space, decomposed letters and control characters."""


class PhonemizerContract(Contract):
    """A phonemizer gives symbols for texts: always the same, in batches, threads and processes alike.

    phonemizer: its name.
    config: its config; the defaults unless set.
    language: one that it knows.
    texts: what to try it with, each with a word or more in that language; the first without punctuation inside.
    marks: the punctuation that it keeps as symbols, for models to learn pauses and intonation from.
    unknown_language: one that it lacks; None for a phonemizer that reads any language alike.
    """

    phonemizer: str
    config: Any = None
    language: str = "en-us"
    texts: tuple[str, ...] = (
        "Boats came home.",
        "Well, who is there? It's me!",
        "The sun rose over a quiet sea; children ran along the sand.",
    )
    marks: str = ".,:;?!"
    unknown_language: str | None = "no-such-language"

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, registry: Registry) -> Any:
        """Its config."""
        return cls.config or registry.load("phonemizers", cls.phonemizer, "config")()

    @pytest.fixture(scope="class")
    @classmethod
    def built(cls, registry: Registry, settings: Any) -> Phonemizer:
        """The phonemizer, ready to read."""
        build = registry.load("phonemizers", cls.phonemizer, "phonemizer")
        phonemizer: Phonemizer = build(settings)
        return phonemizer

    def test_it_gives_symbols(self, built: Phonemizer) -> None:
        found = built.phonemize(self.texts, self.language)
        assert isinstance(found, list), f"phonemize() gives a {type(found).__name__}, not a list."
        assert len(found) == len(self.texts), (
            f"{len(self.texts)} texts give {len(found)} results; expected one each, in order."
        )
        for text, symbols in zip(self.texts, found, strict=True):
            assert isinstance(symbols, list), (
                f"{text!r} gives a {type(symbols).__name__}; expected a list of symbols."
            )
            wrong = [symbol for symbol in symbols if not isinstance(symbol, str) or not symbol]
            assert not wrong, (
                f"{text!r} gives the symbol {wrong[0]!r}; expected strings, none empty."
            )
            assert any(character.isalnum() for symbol in symbols for character in symbol), (
                f"{text!r} gives {symbols}, in which nothing is spoken."
            )

    def test_a_single_space_stands_between_words(self, built: Phonemizer) -> None:
        for text in self.texts:
            (symbols,) = built.phonemize([f"  {text}\n {text} "], self.language)
            white = {symbol for symbol in symbols if symbol.isspace()}
            assert white <= {" "}, f"{text!r} gives {white}; expected single spaces between words."
            assert " " not in (symbols[0], symbols[-1]), (
                f"{text!r} gives symbols that begin or end with a space."
            )
            assert (" ", " ") not in pairwise(symbols), (
                f"{text!r} gives two spaces after each other: {symbols}"
            )

    def test_what_says_nothing_gives_no_symbols(self, built: Phonemizer) -> None:
        for text in ("", " ", "\n\t "):
            found = built.phonemize([text], self.language)
            assert found == [[]], f"{text!r} gives {found}; expected [[]]."
        assert built.phonemize([], self.language) == [], "No texts should give an empty list."

    def test_punctuation_is_kept(self, built: Phonemizer) -> None:
        words = self.texts[0].rstrip(f"{self.marks} ")
        for mark in self.marks:
            (symbols,) = built.phonemize([f"{words}{mark} {words}{mark}"], self.language)
            count = symbols.count(mark)
            assert count == 2, (
                f"'{mark}' after each of two clauses gives {count} symbols '{mark}': {symbols}. Keep "
                "punctuation, or leave the mark out of `marks`."
            )

    def test_a_batch_gives_what_its_texts_give(self, built: Phonemizer) -> None:
        texts = ("", *self.texts, " ", *self.texts)
        together = built.phonemize(texts, self.language)
        alone = [built.phonemize([text], self.language)[0] for text in texts]
        different = differing(texts, together, alone)
        assert not different, (
            f"In a batch and alone {different[0]!r} gives other symbols: keep nothing from one text to the next."
        )

    def test_other_threads_give_the_same(self, built: Phonemizer) -> None:
        expected = built.phonemize(self.texts * 5, self.language)
        for found in in_threads(lambda: built.phonemize(self.texts * 5, self.language)):
            assert found == expected, (
                "Several threads at once give other symbols: guard what they share with a lock."
            )

    def test_another_process_gives_the_same(
        self, registry: Registry, settings: Any, built: Phonemizer
    ) -> None:
        entry: PhonemizerEntry = registry.find("phonemizers", self.phonemizer)
        found = in_process(_phonemized, entry.phonemizer, settings, self.texts, self.language)
        different = differing(self.texts, found, built.phonemize(self.texts, self.language))
        assert not different, (
            f"In another process {different[0]!r} gives other symbols: extraction runs in several. Does the "
            "order of a set decide, or what was read before?"
        )

    def test_its_table_decides_what_it_gives(
        self, registry: Registry, settings: Any, built: Phonemizer
    ) -> None:
        plain = unstructure(TextConfig(phonemizer=settings), registry=registry)
        name = plain["phonemizer"]["type"]
        assert name == self.phonemizer, (
            f"The feature store knows its symbols by the type '{name}' and not by '{self.phonemizer}'."
        )
        again = structure(TextConfig, plain, registry=registry).phonemizer
        build = registry.load("phonemizers", self.phonemizer, "phonemizer")
        found = build(again).phonemize(self.texts, self.language)
        assert found == built.phonemize(self.texts, self.language), (
            f"Built from its table {plain['phonemizer']} it gives other symbols, and the table is all that "
            "the feature store knows of it: everything that decides belongs into the config."
        )

    def test_an_unknown_language_is_an_error(self, built: Phonemizer) -> None:
        if self.unknown_language is None:
            found = built.phonemize(self.texts, "no-such-language")
            assert found == built.phonemize(self.texts, self.language), (
                "unknown_language = None says that languages make no difference, and one does."
            )
            return
        message = ""
        try:
            built.phonemize(self.texts, self.unknown_language)
        except UserError as error:
            message = str(error)
        except Exception as error:
            pytest.fail(
                f"The language '{self.unknown_language}' raises {type(error).__name__}: {error}. Raise a "
                "UserError that names it."
            )
        assert message, (
            f"The language '{self.unknown_language}' is read as if it were known: raise a UserError that "
            "names it, or set unknown_language = None where languages make no difference."
        )
        assert self.unknown_language in message, (
            f"The error does not name the language '{self.unknown_language}': {message}"
        )

    def test_languages_are_resolved(self, built: Phonemizer) -> None:
        resolve = getattr(built, "resolve", None)
        if resolve is None:
            pytest.skip("This phonemizer takes languages as they are given.")
        code = resolve(self.language)
        again = resolve(code)
        assert again == code, f"'{code}', which is its own code, is resolved to {again!r}."
        for written in (self.language.replace("-", "_"), self.language.upper()):
            found = resolve(written)
            assert found == code, (
                f"'{written}' is resolved to {found!r}, and '{self.language}' to '{code}': people write "
                "languages in both ways."
            )
        expected = built.phonemize(self.texts, self.language)
        assert built.phonemize(self.texts, code) == expected, (
            f"'{code}' gives other symbols than '{self.language}', of which it is the code."
        )
        if self.unknown_language is not None:
            with pytest.raises(UserError, match=self.unknown_language):
                resolve(self.unknown_language)

    def test_its_config_can_be_a_key(self, settings: Any) -> None:
        try:
            hash(settings)
        except TypeError as error:
            pytest.fail(
                f"{settings} cannot be hashed: {error}. Front ends are kept by their configs, so use tuples, "
                "and hash=False for mappings."
            )

    def test_strange_characters_are_read_or_refused(self, built: Phonemizer) -> None:
        for text in STRANGE:
            try:
                (symbols,) = built.phonemize([text], self.language)
            except UserError:
                continue
            except Exception as error:
                pytest.fail(
                    f"{text!r} raises {type(error).__name__}: {error}. Leave out what cannot be read, or raise "
                    "a UserError that names it."
                )
            assert all(isinstance(symbol, str) and symbol for symbol in symbols), (
                f"{text!r} gives {symbols}; expected strings, none empty."
            )


class NormalizerContract(Contract):
    """A normalizer writes out what is not spelled as it is said, and leaves words and punctuation as they are.

    language: the one that it is for, as its entry says.
    examples: what it makes of some texts: {"3 boats": "three boats"}.
    marks: punctuation that it leaves where it is.
    """

    language: str
    examples: Mapping[str, str] = {}
    marks: str = ".,:;?!"

    @pytest.fixture(scope="class")
    @classmethod
    def normalize(cls, registry: Registry) -> Callable[[str], str]:
        """The normalizer, ready to read."""
        built: Callable[[str], str] = registry.load("normalizers", cls.language, "normalizer")()
        return built

    def test_it_writes_out(self, normalize: Callable[[str], str]) -> None:
        assert self.examples, "Name some texts with what it makes of them in `examples`."
        for text, expected in self.examples.items():
            found = normalize(text)
            assert isinstance(found, str), f"{text!r} gives a {type(found).__name__}; expected str."
            assert found == expected, f"{text!r} gives {found!r}; expected {expected!r}."

    def test_words_are_left_alone(self, normalize: Callable[[str], str]) -> None:
        for words in self.examples.values():
            found = normalize(words)
            assert found == words, f"{words!r}, which is written out already, becomes {found!r}."

    def test_punctuation_is_kept(self, normalize: Callable[[str], str]) -> None:
        for words in (said.rstrip(f"{self.marks} ") for said in self.examples.values()):
            for mark in self.marks:
                text = f"{words}{mark} {words}{mark}"
                found = normalize(text)
                assert found == text, (
                    f"{text!r} becomes {found!r}: leave punctuation to the phonemizer, or leave the mark out of "
                    "`marks`."
                )

    def test_what_says_nothing_stays_empty(self, normalize: Callable[[str], str]) -> None:
        for text in ("", " ", "\n\t "):
            found = normalize(text)
            assert found == "", f"{text!r} gives {found!r}; expected an empty text."

    def test_texts_are_cleaned(self, normalize: Callable[[str], str]) -> None:
        for text in (UNTIDY, *STRANGE):
            try:
                found = normalize(text)
            except Exception as error:
                pytest.fail(
                    f"{text!r} raises {type(error).__name__}: {error}. Leave alone what it cannot read."
                )
            assert found == clean_text(found), (
                f"{text!r} gives {found!r}, which is not clean: it stands in the place of `clean_text`, so "
                "begin with allophone.text.normalization.clean_text."
            )

    def test_it_says_the_same_again(
        self, registry: Registry, normalize: Callable[[str], str]
    ) -> None:
        texts = (*self.examples, *self.examples.values(), UNTIDY)
        expected = [normalize(text) for text in texts]
        backwards = [normalize(text) for text in reversed(texts)][::-1]
        assert backwards == expected, "A text becomes another one after others: keep no state."
        for found in in_threads(lambda: [normalize(text) for text in texts]):
            assert found == expected, "Several threads at once give other texts."
        entry: NormalizerEntry = registry.find("normalizers", self.language)
        found = in_process(_normalized, entry.normalizer, texts)
        different = differing(texts, found, expected)
        assert not different, (
            f"In another process {different[0]!r} becomes another text: extraction runs in several. Does the "
            "order of a set decide?"
        )


def differing(texts: Sequence[str], found: Sequence[Any], expected: Sequence[Any]) -> list[str]:
    """The texts that have other results."""
    rows = zip(texts, found, expected, strict=True)
    return [text for text, one, other in rows if one != other]


def in_threads(call: Callable[[], Result]) -> Iterator[Result]:
    """What a call gives in each of several threads that run at once."""
    barrier = Barrier(THREADS)

    def together(_: int) -> Result:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(THREADS) as threads:
        yield from threads.map(together, range(THREADS))


def in_process(call: Callable[..., Result], *arguments: Any) -> Result:
    """What a call gives in a new process, started as extraction starts its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def _phonemized(phonemizer: Ref, config: Any, texts: Sequence[str], language: str) -> Symbols:
    symbols: Symbols = phonemizer.load()(config).phonemize(texts, language)
    return symbols


def _normalized(normalizer: Ref, texts: Sequence[str]) -> list[str]:
    return list(map(normalizer.load()(), texts))
