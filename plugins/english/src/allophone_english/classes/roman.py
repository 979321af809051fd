"""Roman numerals: CARDINAL after what is numbered, ORDINAL after a name, and neither elsewhere."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import is_pronoun
from allophone_english.tokens import LETTER, Kind, Rule, Scene
from allophone_english.words.names import NOT_ROMAN, NUMBERED, REGNAL, UNTITLED

_VALUES = {"M": 1000, "D": 500, "C": 100, "L": 50, "X": 10, "V": 5, "I": 1}
_NUMERAL = r"(?P<numeral>(?=[MDCLXVI])M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3}))"
_END = r"(?![\w&]|-[A-Z]|\.\w)"

_NUMBERED = (
    rf"(?:\b(?:(?i:{NUMBERED})s?|(?:vols?\.|Vols?\.|Ch\.|pp?\.))[ ]"
    r"|[MDCLXVI][ ](?:and|or|to|through|&)[ ]|[MDCLXVI],?[ ]|[MDCLXVI][-–])$"
)
_CAPITAL = rf"\b(?:{NUMBERED})s?[ ]$"
_REGNAL = rf"\b(?:{REGNAL})[ ]$"
_NAME = rf"\b(?!(?:{UNTITLED})[ ])[A-Z][a-zà-ÿ]{{2,20}}[ ]$"
_CENTURY = r"[ -](?:[Cc]entur(?:y|ies)|[Dd]ynasty|[Oo]lympi\w+|[Cc]orps|[Aa]mendment|[Ll]egion)\b"


def roman_value(numeral: str) -> int:
    """ "XIV" -> 14."""
    values = [_VALUES[letter] for letter in numeral]
    pairs = zip(values, [*values[1:], 0], strict=True)
    return sum(-value if value < after else value for value, after in pairs)


def _counting(match: re.Match[str], scene: Scene) -> str | None:
    """ "Chapter IV"."""
    numeral = match["numeral"]
    return numbers.cardinal(str(roman_value(numeral))) if _counts(match, numeral, scene) else None


def _of_a_name(match: re.Match[str], scene: Scene) -> str | None:
    """ "Elizabeth II", "Henry the VIII", "XX century"."""
    numeral = match["numeral"]
    said = numbers.ordinal(str(roman_value(numeral)))
    if (
        match["th"]
        or scene.before(_REGNAL_THE)
        or (scene.after(_CENTURY, match) and numeral != "I")
    ):
        return said
    return f"the {said}" if _is_of_a_name(match, numeral, scene) else None


def _standing_alone(match: re.Match[str], scene: Scene) -> str | None:
    """ "MCMXCIV": long enough to be nothing else."""
    numeral = match["numeral"]
    if len(numeral) < 3 or numeral in NOT_ROMAN or not set(numeral) & set("IVX"):
        return None
    value = str(roman_value(numeral))
    return numbers.year(value) if 1100 <= int(value) <= 2099 else numbers.cardinal(value)


def _counts(match: re.Match[str], numeral: str, scene: Scene) -> bool:
    before = scene.before(_NUMBERED)
    if not before:
        return False
    if before[0][0] in "MDCLXVI" and before[0][1] in " ,-–":
        # "Parts I and II": the numeral before was one.
        spoken = [
            token for token in scene.tokens[-3:] if token.spoken and token.kind is Kind.CARDINAL
        ]
        return bool(spoken) and numeral not in "DCLM"
    if len(numeral) == 1:
        if numeral not in "IVX":
            return False
        return numeral != "I" or (
            scene.before(_CAPITAL) is not None and not is_pronoun(match, scene)
        )
    return True


def _is_of_a_name(match: re.Match[str], numeral: str, scene: Scene) -> bool:
    if scene.before(_REGNAL):
        return len(numeral) > 1 or numeral in "VX" or (numeral == "I" and not _speaks(match, scene))
    return len(numeral) > 1 and set(numeral) <= set("XVI") and scene.before(_NAME) is not None


def _speaks(match: re.Match[str], scene: Scene) -> bool:
    """Whether I is who speaks; an I that ends a sentence, or has a possessive, is a numeral."""
    return match.string[match.end() : match.end() + 2] != "'s" and is_pronoun(match, scene)


_REGNAL_THE = rf"\b(?:{REGNAL})[ ]the[ ]$"
_SMALL = r"\b(?:[Cc]hapter|[Pp]ages?|[Pp]art|[Ss]ection|[Vv]olume|[Bb]ook|[Aa]ct|[Ss]cene|[Aa]rticle|pp?\.)[ ]$"


def _small(match: re.Match[str], scene: Scene) -> str | None:
    """ "page xiv", "(iii)"."""
    bracketed = (
        match.string[match.start() - 1 : match.start()] == "("
        and match.string[match.end() : match.end() + 1] == ")"
    )
    if not scene.before(_SMALL) and not (bracketed and len(match[0]) > 1):
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
