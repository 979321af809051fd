"""MEASURE: numbers with units."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.classes.cardinal import signed
from allophone_english.classes.fraction import FRACTION, fraction_words, is_share
from allophone_english.context import is_attributive, is_code, is_length
from allophone_english.patterns import AMOUNT, any_of, with_point
from allophone_english.tokens import DIGIT, SIGN, Kind, Rule, Scene
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
_UNIT = rf"""(?:
    (?P<square>sq\.?|cu\.?)[ ](?P<squared>{any_of(SQUARED)})
  | (?P<powered>{any_of(SQUARED)})(?P<power>{_POWER})
  | (?P<unit>{any_of(UNITS)}|in(?=[ ](?:wide|tall|long|high|deep|thick|by|x)\b))
)"""
_BELOW = rf"(?:/(?P<below>{any_of(BELOW)}|(?:{PERIODS})(?!\w))(?P<below_power>{_POWER})?)?"
_SCALE = r"(?:[ ](?P<scale>thousand|million|billion|trillion))?"
_AN = ("hour", "inch", "ounce", "amp", "ohm")


def _measure(match: re.Match[str], scene: Scene) -> str | None:
    sign = signed(match, scene)
    if sign is None or is_code(scene) or not _is_unit(match):
        return None
    one, many = _names(match)
    if match["fraction"]:
        said = _fraction_of(match["fraction"], one, many)
    else:
        amount = numbers.plain(match["number"])
        scale = f" {match['scale']}" if match["scale"] else ""
        singular = (
            match["joint"] == "-" or is_attributive(match, scene) or (amount == "1" and not scale)
        )
        said = f"{numbers.number(amount)}{scale} {one if singular else many}"
    return with_point(sign + said, match)


def _is_unit(match: re.Match[str]) -> bool:
    """Whether a symbol is a unit here: not the K of "4K", nor the W of "7 W. 34th St."."""
    symbol = match["unit"]
    if symbol in APART and match["joint"] != " ":
        return False
    return not (symbol in WITHOUT_POINT and match["point"] and symbol.isupper())


def _names(match: re.Match[str]) -> tuple[str, str]:
    """The unit, one and many of it: "square meter per second", "square meters per second"."""
    symbol = match["unit"] or match["powered"] or match["squared"]
    one, many = UNITS[symbol] if symbol in UNITS else UNITS[symbol + "."]
    power = POWERS.get(match["power"] or "", "")
    if match["square"]:
        power = "square" if match["square"][0] == "s" else "cubic"
    if power:
        one, many = f"{power} {one}", f"{power} {many}"
    if match["below"]:
        below = BELOW.get(match["below"], match["below"])
        if match["below_power"]:
            below = f"{POWERS[match['below_power']]} {below}"
        one, many = f"{one} per {below}", f"{many} per {below}"
    return one, many


def _fraction_of(fraction: str, one: str, many: str) -> str:
    """ "3/4 km" -> "three quarters of a kilometer"; "2½ km" -> "two and a half kilometers"."""
    said, whole = fraction_words(fraction)
    if whole:
        return f"{said} {many}"
    if not is_share(fraction):
        # "50/60 Hz": one or the other.
        return " ".join([*map(numbers.cardinal, fraction.split("/")), many])
    article = "an" if one.startswith(_AN) else "a"
    return f"half {article} {one}" if said == "one half" else f"{said} of {article} {one}"


def _feet_and_inches(match: re.Match[str], scene: Scene) -> str:
    """ "5'10\"", "5'10 tall"."""
    singular = is_attributive(match, scene)
    return f"{_feet_words(match['feet'], singular)} {_inches_words(match['inches'], singular)}"


def _feet(match: re.Match[str], scene: Scene) -> str | None:
    """ "6'", where something shows that it is no quotation mark."""
    singular = is_attributive(match, scene)
    if not singular and not is_length(match, scene):
        return None
    return _feet_words(match["feet"], singular)


def _inches(match: re.Match[str], scene: Scene) -> str | None:
    """ "27\"", unless the mark closes a quotation."""
    return None if scene.quoted else _inches_words(match["inches"], is_attributive(match, scene))


def _feet_words(feet: str, singular: bool) -> str:
    return f"{numbers.cardinal(feet)} {'foot' if feet == '1' or singular else 'feet'}"


def _inches_words(inches: str, singular: bool) -> str:
    whole = re.fullmatch(r"[\d.]+", inches)
    said = numbers.number(inches) if whole else fraction_words(inches)[0]
    return f"{said} {'inch' if inches == '1' or singular else 'inches'}"


_COMPASS = {"N": "north", "S": "south", "E": "east", "W": "west"}


def _coordinate(match: re.Match[str], scene: Scene) -> str:
    """ "40°26'46\"N"."""
    said = f"{numbers.number(match['degrees'])} degrees"
    for unit in ("minute", "second"):
        count = match[unit]
        if count:
            said += f" {numbers.number(count)} {unit}{'' if count == '1' else 's'}"
    return f"{said} {_COMPASS[match['compass']]}" if match["compass"] else said


RULES = (
    Rule(
        """40°26'46"N""",
        Kind.MEASURE,
        DIGIT,
        r"""(?P<degrees>\d{1,3}(?:\.\d{1,8})?)°[ ]?
        (?:(?P<minute>\d{1,2})'[ ]?(?:(?P<second>\d{1,2}(?:\.\d{1,4})?)\"[ ]?)?|(?=[NSEW](?!\w)))
        (?P<compass>[NSEW])?(?!\w)""",
        _coordinate,
    ),
    Rule(
        """5'10" tall""",
        Kind.MEASURE,
        DIGIT,
        r"(?P<feet>\d{1,3})'[ ]?(?P<inches>\d{1,2}(?:\.\d{1,2})?)(?:\"|''|(?![\w.,'\"]\w|['\w]))",
        _feet_and_inches,
    ),
    Rule(
        'a 27" screen',
        Kind.MEASURE,
        DIGIT,
        rf"(?P<inches>{FRACTION}|\d{{1,3}}(?:\.\d{{1,3}})?)(?:\"|'')(?!\w)",
        _inches,
    ),
    Rule("6' x 4'", Kind.MEASURE, DIGIT, r"(?P<feet>\d{1,5})'(?![\w'](?!\d))", _feet),
    Rule(
        "100 GB/s",
        Kind.MEASURE,
        DIGIT | SIGN,
        rf"""(?P<sign>[-+±])?(?:(?P<fraction>{FRACTION})[ ]?|(?P<number>{AMOUNT}){_SCALE}(?P<joint>[ ]|-)?)
        {_UNIT}{_BELOW}(?P<point>\.(?!\w))?(?![\w²³])""",
        _measure,
    ),
)
