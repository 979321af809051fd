"""Phonemizers and normalizers for tests, most of them with a mistake, in a module that other processes can import."""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import ClassVar

from attrs import frozen

from allophone.entries import NormalizerEntry, PhonemizerEntry
from allophone.errors import UserError
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone.text.normalization import clean_text


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


def count(text):
    """What a normalizer of small numbers makes of a text."""
    return clean_text(text).replace("3", "three")


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
