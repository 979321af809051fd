"""Roman numerals: CARDINAL after what is numbered, ORDINAL after a name, and neither elsewhere."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import (
    continues_numerals,
    is_numbered,
    is_of_an_age,
    is_page,
    is_regnal,
    is_regnal_after_the,
)
from allophone_english.tokens import LETTER, Kind, Rule, Scene
from allophone_english.words.names import NOT_ROMAN

_VALUES = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}
_NUMERAL = r"(?P<numeral>(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))"
_END = r"(?![\w&]|-[A-Z]|\.\w)"


def roman_value(numeral: str) -> int:
    """ "XIV" -> 14."""
    values = [_VALUES[letter] for letter in numeral]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < after else value for value, after in pairs)


def _counting(match: re.Match[str], scene: Scene) -> str | None:
    """ "Chapter IV"."""
    numeral = match["numeral"]
    if numeral in "MDCL" or not (is_numbered(match, scene) or continues_numerals(scene)):
        return None
    return numbers.cardinal(str(roman_value(numeral)))


def _of_a_name(match: re.Match[str], scene: Scene) -> str | None:
    """ "Elizabeth II", "Henry the VIII", "XX century"."""
    said = numbers.ordinal(str(roman_value(match["numeral"])))
    if match["th"] or is_regnal_after_the(scene) or is_of_an_age(match, scene):
        return said
    return f"the {said}" if is_regnal(match, scene) else None


def _standing_alone(match: re.Match[str], scene: Scene) -> str | None:
    """ "MCMXCIV": long enough to be nothing else."""
    numeral = match["numeral"]
    if len(numeral) < 3 or numeral in NOT_ROMAN or not set(numeral) & set("IVX"):
        return None
    value = str(roman_value(numeral))
    return numbers.year(value) if 1100 <= int(value) <= 2099 else numbers.cardinal(value)


def _small(match: re.Match[str], scene: Scene) -> str | None:
    """ "page xiv", "(iii)"."""
    bracketed = (
        match.string[match.start() - 1 : match.start()] == "("
        and match.string[match.end() : match.end() + 1] == ")"
    )
    if not is_page(scene) and not (bracketed and len(match[0]) > 1):
        return None
    return numbers.cardinal(str(roman_value(match[0].upper())))


RULES = (
    Rule("Chapter IV", Kind.CARDINAL, LETTER, _NUMERAL + _END, _counting),
    Rule(
        "Elizabeth II", Kind.ORDINAL, LETTER, _NUMERAL + r"(?P<th>th|st|nd|rd)?" + _END, _of_a_name
    ),
    Rule("MCMXCIV", Kind.CARDINAL, LETTER, _NUMERAL + _END, _standing_alone),
    Rule(
        "page xiv",
        Kind.CARDINAL,
        LETTER,
        r"(?=[xvi])(?:x[cl]|l?x{0,3})(?:ix|iv|v?i{0,3})(?!\w|\.\w|')",
        _small,
    ),
)
