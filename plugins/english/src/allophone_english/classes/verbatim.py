"""VERBATIM: signs, read by what stands beside them."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.classes.cardinal import SUPERSCRIPT, SUPERSCRIPTS, power
from allophone_english.classes.date import MONTH
from allophone_english.context import follows_quantity, is_compared, is_equation, is_size, is_twelve
from allophone_english.patterns import any_of
from allophone_english.tokens import LETTER, SIGN, Kind, Rule, Scene
from allophone_english.words.units import BELOW, PERIODS, POWERS

WORDS = {
    "&": "and",
    "@": "at",
    "+": "plus",
    "=": "equals",
    "≠": "is not equal to",
    "!=": "is not equal to",
    "==": "equals",
    "<=": "less than or equal to",
    ">=": "greater than or equal to",
    "->": "to",
    "≡": "is identical to",
    "<": "less than",
    ">": "greater than",
    "≤": "less than or equal to",
    "≥": "greater than or equal to",
    "+/-": "plus or minus",
    "±": "plus or minus",
    "×": "times",
    "·": "times",
    "÷": "divided by",
    "√": "the square root of",
    "∞": "infinity",
    "≈": "about",
    "#": "hash",
    "♯": "sharp",
    "♭": "flat",
    "%": "percent",
    "‰": "per mille",
    "°": "degrees",
    "№": "number",
    "^": "to the power of",
    "§": "section",
    "¶": "paragraph",
    "©": "copyright",
    "\\": "backslash",
    "→": "to",
}
GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
    "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "µ": "micro", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "gamma", "Δ": "delta",
    "Θ": "theta", "Λ": "lambda", "Π": "pi", "Σ": "sigma", "Φ": "phi", "Ψ": "psi", "Ω": "omega",
}  # fmt: skip
SILENT = "*_|~™®†‡•"
"""Decoration, which a reader passes over."""

_DIGIT_FOLLOWS = r"(?=[ ]?[-+±.]?(?:[A-Z]{0,3}[$£€¥₹₩]|US\$|\.)?[ ]?\d|[ ]?[¼-¾⅐-⅞])"


def _range(match: re.Match[str], scene: Scene) -> str | None:
    """A dash between quantities: "to", but "minus" in an equation."""
    if not follows_quantity(scene) and not is_twelve(scene):
        return None
    spaced = match.string[match.start() - 1] == " "
    if spaced and not match["space"] and match["dash"] == "-":
        # "10 -5": the sign of the second number.
        return None
    if is_equation(match, scene):
        return "minus"
    return "to"


def _until(match: re.Match[str], scene: Scene) -> str | None:
    """ "10am-noon", "2010-present"."""
    return "to" if follows_quantity(scene) else None


def _slash(match: re.Match[str], scene: Scene) -> str:
    return "per" if match["period"] else ""


def _per_unit(match: re.Match[str], scene: Scene) -> str | None:
    if not follows_quantity(scene):
        return None
    power = f"{POWERS[match[2]]} " if match[2] else ""
    return f"per {power}{BELOW[match[1]]}"


def _over(match: re.Match[str], scene: Scene) -> str | None:
    return "divided by" if is_equation(match, scene) else ""


def _ratio(match: re.Match[str], scene: Scene) -> str | None:
    if follows_quantity(scene, Kind.DIGIT):
        # The port of an address.
        return "colon"
    return "to" if follows_quantity(scene) else None


def _by(match: re.Match[str], scene: Scene) -> str | None:
    """A cross between numbers: "by" in sizes, "times" in sums."""
    if not follows_quantity(scene):
        return None
    return "by" if match[1] == "x" or is_size(match, scene) else "times"


def _star(match: re.Match[str], scene: Scene) -> str | None:
    return "times" if follows_quantity(scene) else None


def _compared(match: re.Match[str], scene: Scene) -> str:
    words = WORDS[match[0]]
    return f"is {words}" if is_compared(scene) else words


def _sign(match: re.Match[str], scene: Scene) -> str:
    return WORDS[match[0]]


def _silent(match: re.Match[str], scene: Scene) -> str:
    return ""


def _letter(match: re.Match[str], scene: Scene) -> str:
    return GREEK[match[0]]


def _variable_power(match: re.Match[str], scene: Scene) -> str:
    return f"{match[1]} {power((match[2] or match[3]).translate(SUPERSCRIPTS))}"


def _power_alone(match: re.Match[str], scene: Scene) -> str:
    digits = match[0].translate(SUPERSCRIPTS)
    return numbers.cardinal(digits.lstrip("-") or "0")


RULES = (
    Rule("10-20", Kind.VERBATIM, SIGN, rf"(?P<dash>[-–—~])(?P<space>[ ])?{_DIGIT_FOLLOWS}", _range),
    Rule(
        "10am-noon",
        Kind.VERBATIM,
        SIGN,
        rf"[-–—](?=(?:noon|midnight|present|now|today|date)\b|(?:{MONTH})[ ]\d)",
        _until,
    ),
    Rule(
        "12/kg", Kind.VERBATIM, SIGN, rf"/({any_of(BELOW)})({any_of(POWERS)})?(?![\w²³])", _per_unit
    ),
    Rule(
        "miles/hour",
        Kind.VERBATIM,
        SIGN,
        rf"/(?=(?P<period>(?:{PERIODS})(?!\w))|(?<=\w/)\w)",
        _slash,
    ),
    Rule("12 / 4 = 3", Kind.VERBATIM, SIGN, r"/(?=[ ]?\d)", _over),
    Rule("3:1", Kind.VERBATIM, SIGN, r":(?=\d)", _ratio),
    Rule("3 x 4", Kind.VERBATIM, SIGN | LETTER, r"([x×])(?=[ ]?\.?\d)", _by),
    Rule("5 * 3", Kind.VERBATIM, SIGN, r"\*(?=[ ]?\d)", _star),
    Rule("x < 5", Kind.VERBATIM, SIGN, r"(?:[<>]=?|[≤≥])(?=[ ]?[-+.]?\w)", _compared),
    Rule(
        "mc²",
        Kind.VERBATIM,
        LETTER,
        rf"([A-Za-z]{{1,3}})(?:({SUPERSCRIPT})|\^(-?\d{{1,4}}))",
        _variable_power,
    ),
    Rule("word²", Kind.VERBATIM, SIGN, SUPERSCRIPT, _power_alone),
    Rule("an α particle", Kind.VERBATIM, LETTER, rf"[{''.join(GREEK)}](?![^\W\d_])", _letter),
    Rule("2 + 2", Kind.VERBATIM, SIGN, any_of(WORDS), _sign),
    Rule("*bold*", Kind.VERBATIM, SIGN, rf"[{re.escape(SILENT)}]", _silent),
)
