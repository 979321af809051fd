"""English numbers in words, spelled by `num2words`, without hyphens and commas.

Every function takes digits as they are written, so that leading zeros are not lost.
"""

from __future__ import annotations

from functools import lru_cache

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Beyond this there are no number words that a listener would follow.
_LONGEST = 15
_DECADES = {"ten": "tens", "hundred": "hundreds", "thousand": "thousands"}


@lru_cache(maxsize=4096)
def _spelled(number: int, kind: str) -> str:
    # num2words loads fifty languages.
    from num2words import num2words

    return str(num2words(number, lang="en", to=kind)).replace("-", " ").replace(",", "")


def digit_by_digit(digits: str) -> str:
    """ "007" -> "zero zero seven"."""
    return " ".join(_DIGITS[int(digit)] for digit in digits)


def cardinal(digits: str) -> str:
    """ "1,234" -> "one thousand two hundred and thirty four"; leading zeros are read one by one."""
    plain = digits.replace(",", "")
    if len(plain) > _LONGEST or (len(plain) > 1 and plain[0] == "0"):
        return digit_by_digit(plain)
    return _spelled(int(plain), "cardinal")


def ordinal(digits: str) -> str:
    """ "21" -> "twenty first"."""
    plain = digits.replace(",", "")
    if len(plain) > _LONGEST:
        return digit_by_digit(plain) + "th"
    return _spelled(int(plain), "ordinal")


def year(digits: str) -> str:
    """ "1905" -> "nineteen oh five"; "2005" -> "two thousand five"."""
    if 2000 <= int(digits) <= 2009:
        return _spelled(int(digits), "cardinal").replace(" and ", " ")
    return _spelled(int(digits), "year")


def looks_like_a_year(digits: str) -> bool:
    """Whether a bare number is read in two halves: from 1100 to 1999 and from 2010 to 2099."""
    return digits.isdecimal() and (1100 <= int(digits) <= 1999 or 2010 <= int(digits) <= 2099)


def decade(digits: str) -> str:
    """ "1990" -> "nineteen nineties"; "90" -> "nineties"; "1900" -> "nineteen hundreds"."""
    words = year(digits) if len(digits) == 4 else cardinal(digits)
    before, _, last = words.rpartition(" ")
    plural = _DECADES.get(last, last.removesuffix("y") + "ies")
    return f"{before} {plural}".strip()


def number(digits: str) -> str:
    """A whole or decimal number: "3.14" -> "three point one four", ".5" -> "point five"."""
    whole, point, fraction = digits.partition(".")
    words = cardinal(whole) if whole else ""
    return f"{words} point {digit_by_digit(fraction)}".strip() if point else words
