"""CARDINAL, DECIMAL and ORDINAL: numbers that count, and the Roman numerals that do."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import ends_years, is_code, is_label, is_version, is_year
from allophone_english.patterns import DECIMAL, NUMBER, WHOLE
from allophone_english.tokens import DIGIT, SIGN, Kind, Rule, Scene

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
SUPERSCRIPT = r"⁻?[⁰¹²³⁴-⁹]{1,4}"


def power(exponent: str) -> str:
    """What follows the base: "2" -> "squared", "-3" -> "to the power of minus three"."""
    if exponent in ("2", "3"):
        return "squared" if exponent == "2" else "cubed"
    minus = "minus " if exponent[0] == "-" else ""
    return f"to the power of {minus}{numbers.cardinal(exponent.lstrip('+-'))}"


def signed(match: re.Match[str], scene: Scene) -> str | None:
    """The word for the sign of a number, empty where it has none; None where it is not a sign."""
    sign = match["sign"]
    if not sign:
        return ""
    return None if scene.glued else {"-": "minus ", "+": "plus ", "±": "plus or minus "}[sign]


def _number(match: re.Match[str], scene: Scene) -> str | None:
    sign = signed(match, scene)
    if sign is None:
        return None
    said = _said(numbers.plain(match["number"]), match, scene)
    exponent = match["exponent"] or match["superscript"]
    return f"{sign}{said} {power(exponent.translate(SUPERSCRIPTS)) if exponent else ''}".strip()


def _said(digits: str, match: re.Match[str], scene: Scene) -> str:
    whole, point, fraction = digits.partition(".")
    if point and is_version(scene):
        minor = numbers.label(fraction) if len(fraction) < 3 else numbers.number(fraction)
        return f"{numbers.cardinal(whole or '0')} point {minor}"
    return numbers.number(digits)


def _code(match: re.Match[str], scene: Scene) -> str | None:
    """ "COVID-19", "B-52s", "Flight 370"."""
    if match["several"]:
        return numbers.plural(numbers.label(match["number"])) if is_code(scene) else None
    return numbers.label(match["number"]) if is_code(scene) or is_label(scene) else None


def _grouped_by_points(match: re.Match[str], scene: Scene) -> str:
    return numbers.cardinal(match[0].replace(".", ""))


def _year(match: re.Match[str], scene: Scene) -> str | None:
    return numbers.year(match[0]) if is_year(match[0], match, scene) else None


def _end_of_years(match: re.Match[str], scene: Scene) -> str | None:
    """ "1999-05": the second year of a pair, which is not read digit by digit."""
    return f"oh {numbers.cardinal(match[0][1])}" if ends_years(scene) else None


def _ordinal(match: re.Match[str], scene: Scene) -> str:
    return numbers.ordinal(match[1])


def _scale(match: re.Match[str], scene: Scene) -> str:
    scale = {
        "k": "thousand",
        "M": "million",
        "B": "billion",
        "bn": "billion",
        "mn": "million",
        "tn": "trillion",
    }
    return f"{numbers.number(numbers.plain(match['number']))} {scale[match['scale']]}"


def _resolution(match: re.Match[str], scene: Scene) -> str:
    return f"{numbers.label(match[1])} by {numbers.label(match[2])}"


def _times(match: re.Match[str], scene: Scene) -> str:
    return numbers.number(numbers.plain(match["number"])) + " times"


def _lines(match: re.Match[str], scene: Scene) -> str:
    """ "1080p"."""
    return f"{numbers.label(match[1])} {match[2]}"


_SIGN = r"(?P<sign>[-+±])?"
_EXPONENT = rf"(?:\^(?P<exponent>[-+]?\d{{1,4}})|(?P<superscript>{SUPERSCRIPT}))?"

RULES = (
    Rule("1.000.000", Kind.CARDINAL, DIGIT, r"\d{1,3}(?:\.000){2,6}(?![.\d])", _grouped_by_points),
    Rule("1080p", Kind.CARDINAL, DIGIT, r"(\d{3,4})([pi])(?!\w)", _lines),
    Rule(
        "21st",
        Kind.ORDINAL,
        DIGIT,
        r"(\d{1,3}(?:,\d{3}){1,5}|\d{1,20})(?i:st|nd|rd|th)(?!\w)",
        _ordinal,
    ),
    Rule(
        "1920x1080", Kind.CARDINAL, DIGIT, r"(\d{3,4})[ ]?[x×][ ]?(\d{3,4})(?!\w|\.\d)", _resolution
    ),
    Rule(
        "4x faster",
        Kind.CARDINAL,
        DIGIT,
        rf"(?P<number>{NUMBER})[x×](?!\w)(?=[ ](?:\w{{2,12}}er|more|less|as|the|worse)\b)",
        _times,
    ),
    Rule(
        "5M users",
        Kind.CARDINAL,
        DIGIT,
        rf"(?P<number>{NUMBER})(?P<scale>bn|mn|tn|M|[Bk](?=[ ](?:users|people|followers|parameters|views|tokens|jobs|homes|fans)\b))(?!\w)",
        _scale,
    ),
    Rule(
        "COVID-19",
        Kind.DIGIT,
        DIGIT,
        r"(?P<number>\d{1,9})(?P<several>s(?!\w))?(?!\d|[.,]\d)",
        _code,
    ),
    Rule("in 1999", Kind.DATE, DIGIT, r"\d{4}(?![\d²³⁰-⁹^]|,\d{3}|\.\d)", _year),
    Rule("2003-04", Kind.CARDINAL, DIGIT, r"0\d(?![\w.,:/])", _end_of_years),
    Rule(".5", Kind.DECIMAL, DIGIT | SIGN, rf"{_SIGN}(?P<number>{DECIMAL}){_EXPONENT}", _number),
    Rule("-3", Kind.CARDINAL, DIGIT | SIGN, rf"{_SIGN}(?P<number>{WHOLE}){_EXPONENT}", _number),
)
