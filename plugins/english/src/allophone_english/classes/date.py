"""DATE: days, months, years, decades and eras."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import (
    follows_quantity,
    has_article,
    is_dated,
    is_month_and_count,
    is_wait,
)
from allophone_english.patterns import DASH
from allophone_english.tokens import DIGIT, LETTER, SIGN, Kind, Rule, Scene
from allophone_english.words.names import MONTHS, WEEKDAYS

# "may" and "march" are verbs as well, and "mar" is one.
_VERBS = ("March", "May")
MONTH = (
    "(?i:"
    + "|".join(rf"{month}|{month[:3]}\.?(?!\w)" for month in MONTHS if month not in _VERBS)
    + r"|Sept\.?(?!\w))|May|MAY|March|MARCH|Mar\.?(?!\w)"
)
_DAY = r"(?:3[01]|[12]\d|0?[1-9])"
_TH = r"(?:st|nd|rd|th)?"
_YEAR = r"[12]\d{3}(?![\d%]|[.,]\d)"
_ERA = r"(?:BCE?|CE|AD|B\.C\.(?:E\.)?|A\.D\.?|C\.E\.)(?!\w)"
_NOT_A_DAY = r"(?![:.,]?\d|[ ]?(?:%|°|[ap]\.?m\b|million|thousand|billion|percent)|\w)"
_WEEKDAY = "Mon|Tues?|Wed|Thurs?|Thu|Fri|Sat|Sun"


def _month(written: str) -> str:
    return next(month for month in MONTHS if month.startswith(written[:3].title()))


def _weekday(written: str) -> str:
    return next(day for day in WEEKDAYS if day.startswith(written[:3]))


def _date(month: int, day: int, year: str) -> str:
    if len(year) == 2:
        year = ("19" if year >= "50" else "20") + year
    return f"{MONTHS[month - 1]} {numbers.ordinal(str(day))}, {numbers.year(year)}"


def _is_day(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31


def _year_first(match: re.Match[str], scene: Scene) -> str | None:
    month, day = int(match["month"]), int(match["day"])
    return _date(month, day, match["year"]) if _is_day(month, day) else None


def _month_first(match: re.Match[str], scene: Scene) -> str | None:
    """Month first, as in America, unless that is no month."""
    return _either_order(int(match[1]), int(match[3]), match[4])


def _day_first(match: re.Match[str], scene: Scene) -> str | None:
    """Day first, as where dates have points, unless that leaves no month."""
    return _either_order(int(match[2]), int(match[1]), match[3])


def _either_order(month: int, day: int, year: str) -> str | None:
    if not _is_day(month, day):
        month, day = day, month
    return _date(month, day, year) if _is_day(month, day) else None


def _month_slash_day(match: re.Match[str], scene: Scene) -> str | None:
    month, day = int(match[1]), int(match[2])
    if not is_dated(scene) or not _is_day(month, day):
        return None
    return f"{MONTHS[month - 1]} {numbers.ordinal(match[2])}"


def _month_and_day(match: re.Match[str], scene: Scene) -> str | None:
    year = match["year"]
    if not year and is_month_and_count(match, scene):
        return None
    said = f"{_month(match['month'])} {numbers.ordinal(match['day'])}"
    if match["last"]:
        said += f" to {numbers.ordinal(match['last'])}"
    return f"{said}, {numbers.year(year)}" if year else said


def _day_and_month(match: re.Match[str], scene: Scene) -> str:
    the = match["the"] or ("" if has_article(scene) else "the ")
    said = f"{the}{numbers.ordinal(match['day'])}"
    if match["last"]:
        said += f" to {'the ' if the else ''}{numbers.ordinal(match['last'])}"
    said += f" of {_month(match['month'])}"
    return f"{said} {numbers.year(match['year'])}" if match["year"] else said


def _short_month(match: re.Match[str], scene: Scene) -> str:
    return _month(match[1])


def _months(match: re.Match[str], scene: Scene) -> str:
    return f"{_month(match[1])} to {_month(match[2])}"


def _short_weekday(match: re.Match[str], scene: Scene) -> str:
    last = match["last"]
    return _weekday(match[1]) + (f" to {_weekday(last)}" if last else "")


def _decade(match: re.Match[str], scene: Scene) -> str | None:
    if match[0][0] != "'" and len(match["years"]) == 2 and is_wait(scene):
        return None
    if match["years"] == "00":
        return "two thousands"
    return numbers.decade(match["years"])


def _era(match: re.Match[str], scene: Scene) -> str:
    written = match["year"]
    year = numbers.cardinal(written) if "," in written else numbers.year(written)
    return f"{year} {match['era'].replace('.', '')}"


def _after_era(match: re.Match[str], scene: Scene) -> str:
    return f"AD {numbers.year(match[1])}"


def _short_year(match: re.Match[str], scene: Scene) -> str | None:
    if scene.glued and not follows_quantity(scene, Kind.LETTERS):
        return None
    zero = "oh " if match[1][0] == "0" else ""
    return zero + numbers.cardinal(match[1].lstrip("0"))


RULES = (
    Rule(
        "2020-05-03",
        Kind.DATE,
        DIGIT,
        r"(?P<year>[12]\d{3})(?P<by>[-/.])(?P<month>\d{1,2})(?P=by)(?P<day>\d{1,2})(?:T(?=\d\d:)|(?![\d-]))",
        _year_first,
    ),
    Rule(
        "3/4/2021",
        Kind.DATE,
        DIGIT,
        r"(\d{1,2})([-/])(\d{1,2})\2([12]\d{3}|\d{2})(?![-/]?\d)",
        _month_first,
    ),
    Rule("15.01.2020", Kind.DATE, DIGIT, r"(\d{1,2})\.(\d{1,2})\.([12]\d{3})(?!\.?\d)", _day_first),
    Rule("on 3/4", Kind.DATE, DIGIT, r"(\d{1,2})/(\d{1,2})(?![\d/%])", _month_slash_day),
    Rule(
        "Jan. 5th, 2024",
        Kind.DATE,
        LETTER,
        rf"(?P<month>{MONTH})[ -](?P<day>{_DAY}){_TH}(?:{DASH}(?P<last>{_DAY}){_TH}(?!\w))?"
        rf"(?:(?:,?[ ]|-)(?P<year>{_YEAR}))?{_NOT_A_DAY}",
        _month_and_day,
    ),
    Rule(
        "may 5th",
        Kind.DATE,
        LETTER,
        rf"(?P<month>may|march)[ ](?P<day>{_DAY})(?P<last>)(?:{_TH},?[ ](?P<year>{_YEAR})|(?:st|nd|rd|th)){_NOT_A_DAY}",
        _month_and_day,
    ),
    Rule(
        "17 may 2010",
        Kind.DATE,
        DIGIT,
        rf"(?P<the>)(?P<day>{_DAY})(?P<last>){_TH}[ ](?P<month>may|march),?[ ](?P<year>{_YEAR})",
        _day_and_month,
    ),
    Rule(
        "the 4th of July",
        Kind.DATE,
        LETTER | DIGIT,
        rf"(?P<the>[tT]he[ ])?(?P<day>{_DAY}){_TH}(?:{DASH}(?P<last>{_DAY}){_TH})?(?:[ ]of[ ]|[ -])(?P<month>{MONTH})"
        rf"(?:(?:,?[ ]|-)(?P<year>{_YEAR}))?(?!\w)",
        _day_and_month,
    ),
    Rule("April-Sept", Kind.DATE, LETTER, rf"({MONTH})[-–]({MONTH})(?!\w)", _months),
    Rule(
        "Nov 2015",
        Kind.DATE,
        LETTER,
        r"(Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.?(?=[ ][12]\d{3}\b)",
        _short_month,
    ),
    Rule(
        "in Aug. he left",
        Kind.DATE,
        LETTER,
        r"(Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.(?=[ ][a-z])",
        _short_month,
    ),
    Rule(
        "Fri., Sept. 4",
        Kind.DATE,
        LETTER,
        rf"({_WEEKDAY})(?:\.?[-–](?P<last>{_WEEKDAY})\b\.?|\.?(?=,?[ ](?:(?:{MONTH})[ ]\d|\d{{1,2}}{_TH}[ ](?:{MONTH})|"
        r"\d{1,2}(?::\d\d|[ ]?[ap]\.?m\b))))",
        _short_weekday,
    ),
    Rule(
        "the 1990s",
        Kind.DATE,
        DIGIT | SIGN,
        r"(?<!\w)'?(?P<years>(?:1[1-9]|20)?[1-9]0|(?:1[1-9]|20)00|(?<=')00)(?:'s|s)(?!\w)",
        _decade,
    ),
    Rule("the class of '05", Kind.DATE, SIGN, r"'(\d\d)(?![\w'\"]|[.,:]\d)", _short_year),
    Rule(
        "300 BC",
        Kind.DATE,
        DIGIT,
        rf"(?P<year>\d{{1,3}},\d{{3}}|\d{{1,6}})[ ]?(?P<era>{_ERA})",
        _era,
    ),
    Rule("AD 79", Kind.DATE, LETTER, r"(?:AD|A\.D\.)[ ](\d{1,4})(?![\w.,]\w|\d)", _after_era),
)
