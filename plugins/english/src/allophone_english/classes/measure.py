"""MEASURE: numbers with units."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.classes.cardinal import signed
from allophone_english.classes.fraction import FRACTION, fraction_words, is_share
from allophone_english.context import is_attributive
from allophone_english.patterns import AMOUNT, any_of, with_point
from allophone_english.tokens import Begins, Kind, Rule, Scene
from allophone_english.words.units import (
    APART,
    BELOW,
    PERIODS,
    POWERS,
    SQUARED,
    UNITS,
    WITHOUT_POINT,
)

_POWER = rf"(?:{any_of(POWERS)})(?!\d)"
_UNIT = (
    rf"(?:(?P<square>sq\.?|cu\.?)[ ](?P<squared>{any_of(SQUARED)})"
    rf"|(?P<powered>{any_of(SQUARED)})(?P<power>{_POWER})"
    rf"|(?P<unit>{any_of(UNITS)})|(?P<inch>in(?=[ ](?:wide|tall|long|high|deep|thick|by|x)\b)))"
)
_BELOW = rf"(?:/(?P<below>{any_of(BELOW)}|(?:{PERIODS})(?!\w))(?P<below_power>{_POWER})?)?"
_AN = ("hour", "inch", "ounce", "amp", "ohm")


def _measure(match: re.Match[str], scene: Scene) -> str | None:
    sign = signed(match, scene)
    symbol = match["unit"] or match["powered"] or match["squared"] or ""
    apart = match["space"] or match["fraction"]
    if sign is None or (symbol in APART and not apart) or (symbol == "mm" and scene.glued):
        return None
    if match["point"] and symbol in WITHOUT_POINT and symbol.isupper():
        return None
    one, many = _names(match)
    if (
        match["fraction"]
        and not is_share(match["fraction"])
        and "/" in match["fraction"]
        and " " not in match["fraction"]
    ):
        above, below = match["fraction"].split("/")
        said = f"{numbers.cardinal(above)} {numbers.cardinal(below)} {many}"
    elif match["fraction"]:
        said = _parts(match["fraction"], one, many)
    else:
        amount = numbers.plain(match["number"])
        singular = amount == "1" or match["space"] == "-" or is_attributive(match, scene)
        scale = f" {match['scale']}" if match["scale"] else ""
        said = f"{numbers.number(amount)}{scale} {one if singular and not scale else many}"
    return with_point(sign + said, match)


def _names(match: re.Match[str]) -> tuple[str, str]:
    """The unit, one and many of it: "square meters per second"."""
    if match["square"]:
        power = "square" if match["square"][0] == "s" else "cubic"
    else:
        power = POWERS.get(match["power"] or "", "")
    symbol = match["unit"] or match["powered"] or match["squared"] or "in."
    one, many = UNITS.get(symbol.rstrip(".") if symbol not in UNITS else symbol, UNITS["in."])
    if match["below"]:
        squared = f" {POWERS[match['below_power']]}" if match["below_power"] else ""
        below = f" per{squared} {BELOW.get(match['below'], match['below'])}"
        one, many = one + below, many + below
    return (f"{power} {one}".strip(), f"{power} {many}".strip())


def _parts(fraction: str, one: str, many: str) -> str:
    """ "3/4 km" -> "three quarters of a kilometer"; "2½ km" -> "two and a half kilometers"."""
    said, whole = fraction_words(fraction)
    if whole:
        return f"{said} {many}"
    if one.startswith(_AN):
        one = f"an {one}"
    elif one != "percent":
        one = f"a {one}"
    return f"half {one}" if said == "one half" else f"{said} of {one}"


def _feet_and_inches(match: re.Match[str], scene: Scene) -> str | None:
    """ "5'10\"", "6'" and "27\""; a mark that closes a quotation is no unit."""
    feet, inches = match["feet"], match["inches"]
    if not feet and scene.quoted:
        return None
    singular = is_attributive(match, scene)
    said = []
    if feet:
        said.append(f"{numbers.cardinal(feet)} {'foot' if feet == '1' or singular else 'feet'}")
    if inches:
        one = inches == "1" or singular
        written = (
            numbers.number(inches)
            if inches[-1].isdecimal() and "/" not in inches
            else fraction_words(inches)[0]
        )
        said.append(f"{written} {'inch' if one else 'inches'}")
    return " ".join(said)


_COMPASS = {"N": "north", "S": "south", "E": "east", "W": "west"}


def _coordinate(match: re.Match[str], scene: Scene) -> str:
    """ "40°26'46\"N"."""
    said = f"{numbers.number(match[1])} degrees"
    for count, unit in ((match[2], "minute"), (match[3], "second")):
        if count:
            said += f" {numbers.number(count)} {unit}{'' if count == '1' else 's'}"
    return f"{said} {_COMPASS[match[4]]}" if match[4] else said


RULES = (
    Rule(
        Kind.MEASURE,
        Begins.DIGIT,
        r"(\d{1,3}(?:\.\d{1,8})?)°[ ]?(?:(\d{1,2})'[ ]?(?:(\d{1,2}(?:\.\d{1,4})?)\"[ ]?)?|(?=[NSEW](?!\w)))([NSEW])?(?!\w)",
        _coordinate,
    ),
    Rule(
        Kind.MEASURE,
        Begins.DIGIT,
        r"(?P<feet>\d{1,3})'[ ]?(?P<inches>\d{1,2}(?:\.\d{1,2})?)(?:\"|''|(?![\w.,'\"]\w|['\w]))",
        _feet_and_inches,
    ),
    Rule(
        Kind.MEASURE,
        Begins.DIGIT,
        rf"(?P<feet>)(?P<inches>{FRACTION}|\d{{1,4}}(?:\.\d{{1,3}})?)(?:\"|'')(?!\w)",
        _feet_and_inches,
    ),
    Rule(
        Kind.MEASURE,
        Begins.DIGIT,
        r"(?P<feet>\d{1,5})'(?P<inches>)(?=[ ]?(?:[x×][ ]?\d|-\d)|[ ](?:tall|wide|long|high|deep|by|above|below)\b)",
        _feet_and_inches,
    ),
    Rule(
        Kind.MEASURE,
        Begins.DIGIT | Begins.SIGN,
        rf"(?P<sign>[-+±])?(?:(?P<fraction>{FRACTION})(?P<close>[ ]?)|(?P<number>{AMOUNT})(?:[ ](?P<scale>thousand|million|billion|trillion))?(?P<space>[ ]|-)?)"
        rf"{_UNIT}{_BELOW}(?P<point>\.(?!\w))?(?![\w²³])",
        _measure,
    ),
)
