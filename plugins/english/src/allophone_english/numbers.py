"""English numbers in words, without hyphens and commas.

Every function takes digits as they are written in a plain number ("1234.50"), so that leading zeros are not lost.
`plain` makes such a number of what people write.
"""

from __future__ import annotations

import re

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ("", " thousand", " million", " billion", " trillion")
# Beyond the scales there are no number words that a listener would follow.
_LONGEST = 3 * len(_SCALES)

_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip

_GROUPED_BY_COMMAS = re.compile(r"\d+(?:,\d\d\d?)*,\d{3}")
_GROUPED_BY_POINTS = re.compile(r"\d{1,3}(?:\.\d{3})+")


def plain(written: str, *, decimal_comma: bool = False) -> str:
    """A number as it is computed with: "1,234.5", "1 234,5" and "1'234.5" -> "1234.5".

    decimal_comma: whether points may group thousands, as in "1.234" euros.
    """
    digits = written.replace(" ", "").replace("'", "")
    if "," in digits and "." in digits:
        grouping = min(",.", key=digits.index)
        return digits.replace(grouping, "").replace(",", ".")
    if "," in digits:
        grouped = _GROUPED_BY_COMMAS.fullmatch(digits)
        return digits.replace(",", "" if grouped else ".")
    if decimal_comma and _GROUPED_BY_POINTS.fullmatch(digits):
        return digits.replace(".", "")
    return digits


def digit_by_digit(digits: str) -> str:
    """ "007" -> "zero zero seven"."""
    return " ".join(_DIGITS[int(digit)] for digit in digits)


def cardinal(digits: str) -> str:
    """ "1234" -> "one thousand two hundred and thirty four"; leading zeros are read one by one."""
    digits = digits.replace(",", "")
    if len(digits) > _LONGEST or (len(digits) > 1 and digits[0] == "0"):
        return digit_by_digit(digits)
    value = int(digits)
    if value == 0:
        return "zero"
    parts: list[str] = []
    for power in range((len(digits) - 1) // 3, -1, -1):
        group = value // 1000**power % 1000
        if group:
            joint = "and " if power == 0 and parts and group < 100 else ""
            parts.append(joint + _below_thousand(group) + _SCALES[power])
    return " ".join(parts)


def _below_thousand(value: int) -> str:
    hundreds, rest = divmod(value, 100)
    if not hundreds:
        return _below_hundred(rest)
    said = f"{_DIGITS[hundreds]} hundred"
    return f"{said} and {_below_hundred(rest)}" if rest else said


def _below_hundred(value: int) -> str:
    if value < 10:
        return _DIGITS[value]
    if value < 20:
        return _TEENS[value - 10]
    tens, ones = divmod(value, 10)
    return f"{_TENS[tens]} {_DIGITS[ones]}" if ones else _TENS[tens]


def ordinal(digits: str) -> str:
    """ "21" -> "twenty first"."""
    digits = digits.replace(",", "").lstrip("0") or "0"
    words = cardinal(digits)
    if len(digits) > _LONGEST:
        return words + "th"
    before, _, last = words.rpartition(" ")
    if last not in _ORDINALS:
        last = last.removesuffix("y") + "ieth" if last.endswith("y") else last + "th"
    return f"{before} {_ORDINALS.get(last, last)}".strip()


def year(digits: str) -> str:
    """ "1905" -> "nineteen oh five"; "2005" -> "two thousand five"; "476" -> "four seventy six"."""
    value = int(digits)
    century, rest = divmod(value, 100)
    if value < 100 or value >= 10_000 or (century % 10 == 0 and rest < 10):
        return cardinal(str(value)).replace(" and ", " ")
    if rest == 0:
        return f"{_below_hundred(century)} hundred"
    return f"{_below_hundred(century)} {'oh ' if rest < 10 else ''}{_below_hundred(rest)}"


def looks_like_a_year(digits: str) -> bool:
    """Whether a bare number is read in two halves: from 1100 to 1999 and from 2010 to 2099."""
    if len(digits) != 4 or not digits.isdecimal():
        return False
    return 1100 <= int(digits) <= 1999 or 2010 <= int(digits) <= 2099


def decade(digits: str) -> str:
    """ "1990" -> "nineteen nineties"; "90" -> "nineties"; "1900" -> "nineteen hundreds"."""
    return plural(year(digits) if len(digits) == 4 else cardinal(digits))


def plural(words: str) -> str:
    """ "fifty two" -> "fifty twos"; "six" -> "sixes"; "twenty" -> "twenties"."""
    if words.endswith("y"):
        return words.removesuffix("y") + "ies"
    return words + ("es" if words.endswith("x") else "s")


def label(digits: str) -> str:
    """A number that names and does not count: "380" -> "three eighty", "101" -> "one oh one"."""
    if (digits[0] == "0" and len(digits) > 1) or len(digits) > 4:
        return digit_by_digit(digits)
    if len(digits) < 3 or (digits.endswith("00") and len(digits) == 3):
        return cardinal(digits)
    return year(digits)


def number(digits: str) -> str:
    """A whole or decimal number: "3.14" -> "three point one four", ".5" -> "point five"."""
    whole, point, fraction = digits.partition(".")
    words = cardinal(whole) if whole else ""
    return f"{words} point {digit_by_digit(fraction)}".strip() if point else words
