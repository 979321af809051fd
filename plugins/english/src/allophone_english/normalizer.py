"""`EnglishNormalizer`: an ordered table of what is written in English, and how that is said.

Each rule is a pattern and the words for what it matches. Earlier rules leave words behind that
later ones do not touch, so a rule needs to know only about its own kind of expression.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from allophone.text.normalization import clean_text
from allophone_english.numbers import (
    cardinal,
    decade,
    digit_by_digit,
    looks_like_a_year,
    number,
    ordinal,
    year,
)
from allophone_english.words import (
    BEFORE_NUMBER,
    CURRENCIES,
    ENDINGS,
    IN_ADDRESS,
    LINKS,
    MAGNITUDES,
    MONTHS,
    NUMBERED,
    PARTS,
    ROMAN,
    SYMBOLS,
    TITLES,
    UNITS,
    VULGAR_FRACTIONS,
)

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"

_MONTH = "|".join(rf"{month}|{month[:3]}\.?" for month in MONTHS) + r"|Sept\.?"

Say = Callable[[re.Match[str]], str]


class EnglishNormalizer:
    """Writes out numbers, money, dates, times, units and abbreviations, in the order of the text.

    The words stay in that order so that a recording of the text still fits them.
    """

    def __call__(self, text: str) -> str:
        text = clean_text(text)
        for pattern, say in _compiled():
            text = pattern.sub(say, text)
        return " ".join(text.split())


@functools.cache
def _compiled() -> tuple[tuple[re.Pattern[str], Say], ...]:
    return tuple((re.compile(pattern), say) for pattern, say in _RULES)


def _any_of(written: dict[str, str] | dict[str, tuple[str, str]]) -> str:
    return "|".join(re.escape(form) for form in sorted(written, key=len, reverse=True))


def _ends_sentence(match: re.Match[str]) -> bool:
    """Whether the text ends after `match`, or goes on with a capital letter."""
    rest = match.string[match.end() :]
    return re.match(r"""["')\]]*(?:\s+["'(\[]?[A-Z]|$)""", rest) is not None


def _with_point(words: str, match: re.Match[str]) -> str:
    return words + "." if _ends_sentence(match) else words


def _ends_text(match: re.Match[str]) -> bool:
    return re.match(r"""["')\]]*$""", match.string[match.end() :]) is not None


def _address(match: re.Match[str]) -> str:
    named = re.sub(r"https?://", "", match[0])
    spelled = "".join(f" {IN_ADDRESS.get(c, c)} " if not c.isalnum() else c for c in named)
    return spelled.strip()


def _street(match: re.Match[str]) -> str:
    return _with_point(f"{match[1]} Street", match)


def _link(match: re.Match[str]) -> str:
    words = LINKS[match[1].lower()]
    return words + "." if _ends_text(match) else words


def _ending(match: re.Match[str]) -> str:
    return _with_point(ENDINGS[match[1]], match)


def _initialism(match: re.Match[str]) -> str:
    letters = match[0].replace(".", "")
    return letters + "." if _ends_text(match) else letters


def _telephone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    return ("plus " if match[0][0] == "+" else "") + ", ".join(map(digit_by_digit, groups))


def _month_name(written: str) -> str:
    return next(month for month in MONTHS if month.startswith(written[:3]))


def _iso_date(match: re.Match[str]) -> str:
    return _date(int(match[2]), match[3], match[1])


def _slashed_date(match: re.Match[str]) -> str:
    """Month first, as in America, unless that is no month."""
    first, second = match[1], match[2]
    if int(first) > 12:
        first, second = second, first
    return _date(int(first), second, match[3])


def _date(month: int, day: str, of_year: str) -> str:
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(of_year)}"


def _month_and_day(match: re.Match[str]) -> str:
    said = f"{_month_name(match[1])} {ordinal(match[2])}"
    return f"{said}, {year(match[3])}" if match[3] else said


def _day_and_month(match: re.Match[str]) -> str:
    the = "" if match[1] else "the "
    said = f"{match[1] or ''}{the}{ordinal(match[2])} of {_month_name(match[3])}"
    return f"{said} {year(match[4])}" if match[4] else said


def _time(match: re.Match[str]) -> str:
    hour, minute, second, half = match[1], match[2], match[3], match[4]
    said = cardinal(hour.lstrip("0") or "0")
    if int(minute):
        said += f" {'oh ' if minute[0] == '0' else ''}{cardinal(minute.lstrip('0'))}"
    elif not half:
        said += " o'clock"
    if second:
        said += f" and {cardinal(second.lstrip('0') or '0')} seconds"
    return _half_day(said, half, match)


def _hour(match: re.Match[str]) -> str:
    return _half_day(cardinal(match[1]), match[2], match)


def _half_day(said: str, half: str | None, match: re.Match[str]) -> str:
    if not half:
        return said
    said += " " + half[0].upper() + "M"
    return _with_point(said, match) if half.endswith(".") else said


def _decade(match: re.Match[str]) -> str:
    return decade(match[1])


def _money(match: re.Match[str]) -> str:
    one, many, small, smalls = CURRENCIES[match[1]]
    amount, magnitude = match[2], match[3]
    if magnitude:
        scale = MAGNITUDES.get(magnitude.lower(), magnitude.lower())
        return f"{number(amount)} {scale} {many}"
    whole, _, fraction = amount.partition(".")
    if len(fraction) not in (0, 2):
        return f"{number(amount)} {many}"
    parts = []
    if int(whole.replace(",", "") or 0) or not int(fraction or 0):
        parts.append(f"{cardinal(whole or '0')} {one if whole == '1' else many}")
    if int(fraction or 0):
        parts.append(f"{cardinal(str(int(fraction)))} {small if fraction == '01' else smalls}")
    return " and ".join(parts)


def _feet_and_inches(match: re.Match[str]) -> str:
    feet = f"{cardinal(match[1])} {'foot' if match[1] == '1' else 'feet'}"
    return f"{feet} {cardinal(match[2])} {'inch' if match[2] == '1' else 'inches'}"


def _measure(match: re.Match[str]) -> str:
    one, many = UNITS[match[3]]
    minus = "minus " if match[1] else ""
    words = f"{minus}{number(match[2])} {one if match[2] == '1' else many}"
    return _with_point(words, match) if match[4] else words


def _fraction(match: re.Match[str]) -> str:
    """ "3/4" -> "three quarters"; what is no proper fraction is read number by number."""
    whole, above, below = match[1], match[2], match[3]
    if not 0 < int(above) < int(below) or int(below) not in PARTS:
        return f"{number(whole) + ' ' if whole else ''}{number(above)} {number(below)}"
    part = PARTS[int(below)]
    if above != "1":
        part = "halves" if below == "2" else part + "s"
    said = f"{cardinal(above)} {part}"
    return f"{cardinal(whole)} and {'a' + said[3:] if above == '1' else said}" if whole else said


def _roman_value(numeral: str) -> int:
    value = 0
    while numeral:
        sign = next(sign for sign in ROMAN if numeral.startswith(sign))
        value += ROMAN[sign]
        numeral = numeral[len(sign) :]
    return value


def _roman(match: re.Match[str]) -> str:
    value = str(_roman_value(match[2]))
    said = cardinal(value) if re.fullmatch(NUMBERED, match[1]) else f"the {ordinal(value)}"
    return f"{match[1]} {said}"


def _number(match: re.Match[str]) -> str:
    """A number that no rule before has claimed."""
    said = year(match[2]) if looks_like_a_year(match[2]) else number(match[2])
    return f"minus {said}" if match[1] else said


_BEFORE_SAINT = r"(?:The|In|At|On|Of|And|From|To|By|Mount|Fort|Port)\b"
_DAY = r"(3[01]|[12]?\d)"
_HALF_DAY = r"([aApP](?:\.[mM]\.|[mM]\b))"
_ROMAN_NUMERAL = r"(?=[IVX]{2})(X{0,3}(?:IX|IV|V?I{0,3}))"
_MAGNITUDE = r"thousand|million|billion|trillion|[kKmMbB]|bn|tn"

_RULES: tuple[tuple[str, Say], ...] = (
    (r"\b(?:https?://|www\.)[\w./:@?=&#%~+-]*[\w/]|\b[\w.-]+@[\w-]+(?:\.[\w-]+)+", _address),
    (rf"\b((?!{_BEFORE_SAINT})[A-Z][a-z]+(?:'s)?|\d+(?:st|nd|rd|th)) St\.", _street),
    (rf"\b({_any_of(TITLES)})\.(?=\s)", lambda match: TITLES[match[1]]),
    (rf"(?<![\w.])((?i:{_any_of(LINKS)}))(?!\w)", _link),
    (rf"(?<![\w.])({_any_of(ENDINGS)})(?!\w)", _ending),
    (
        rf"(?<!\w)((?i:{_any_of(BEFORE_NUMBER)}))\s?(?=\d)",
        lambda match: BEFORE_NUMBER[match[1].lower()] + " ",
    ),
    (r"\b(?:[A-Z]\.\s?){2,}(?=[A-Z][a-z])", lambda match: match[0].replace(".", "")),
    (r"\b(?:[A-Z]\.){2,}(?!\w)", _initialism),
    (r"\b([A-Z][a-z]+\s[A-HJ-Z])\.(?=\s[A-Z][a-z])", lambda match: match[1]),
    (r"(?<!\w)(?:\+?\d{1,3}[ -])?(?:\(\d{3}\) ?|\d{3}-)\d{3}-\d{4}\b", _telephone),
    (r"\b\d{3}-\d{4}\b", _telephone),
    (r"\b([12]\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b", _iso_date),
    (r"\b(0?[1-9]|[12]\d|3[01])/(0?[1-9]|1[0-2])/([12]\d{3})\b", _slashed_date),
    (r"\b(0?[1-9]|1[0-2])/(0?[1-9]|[12]\d|3[01])/([12]\d{3})\b", _slashed_date),
    (
        rf"\b({_MONTH}) {_DAY}(?:st|nd|rd|th)?(?:,? ([12]\d{{3}}))?\b(?![:.,]?\d)",
        _month_and_day,
    ),
    (
        rf"\b([tT]he )?{_DAY}(?:st|nd|rd|th)?(?: of)? ({_MONTH})(?:,? ([12]\d{{3}})\b)?(?!\w)",
        _day_and_month,
    ),
    (rf"\b([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?:\s?{_HALF_DAY})?(?![:\w])", _time),
    (rf"\b(1[0-2]|[1-9])\s?{_HALF_DAY}", _hour),
    (r"(?<!\w)'?((?:1[1-9]|20)?[1-9]0|(?:1[1-9]|20)00)'?s\b", _decade),
    (
        rf"(\d)?\s?([{''.join(VULGAR_FRACTIONS)}])",
        lambda match: f"{match[1] or ''} {VULGAR_FRACTIONS[match[2]]}",
    ),
    (
        rf"([{''.join(map(re.escape, CURRENCIES))}])\s?({_NUMBER}|\.\d+)(?:\s?({_MAGNITUDE})\b)?",
        _money,
    ),
    (r"\b(\d{1,2})'\s?(\d{1,2})\"", _feet_and_inches),
    (rf"(?<![\w.-])(-)?({_NUMBER})\s?({_any_of(UNITS)})(\.?)(?![\w/])", _measure),
    (r"(?<![\w/.])(?:(\d+) )?(\d+)/(\d+)(?![\w/])", _fraction),
    (r"\b(\d[\d,]*)(?:st|nd|rd|th)\b", lambda match: ordinal(match[1])),
    (rf"\b([A-Z][a-z]+) {_ROMAN_NUMERAL}\b", _roman),
    (r"\b\d+(?:\.\d+){2,}\b", lambda match: match[0].replace(".", " dot ")),
    (r"(?<=\d)\s?[-\u2013]\s?(?=\d)", lambda match: " to "),
    (r"(?<=\d):(?=\d)", lambda match: " to "),
    (r"(?<=\d)\s?x\s?(?=\d)", lambda match: " by "),
    (r"(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])", lambda match: " "),
    (rf"(?<![\w.-])(-)?({_NUMBER}|\.\d+)", _number),
    (rf"()({_NUMBER})", _number),
    (rf"[{''.join(map(re.escape, SYMBOLS))}]", lambda match: f" {SYMBOLS[match[0]]} "),
    (r"(?<=\w)/(?=\w)|[\\|_^~*]", lambda match: " "),
    (r"\s+(?=[.,;:!?)](?:\s|$))", lambda match: ""),
)
