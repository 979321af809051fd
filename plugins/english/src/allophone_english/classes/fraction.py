"""FRACTION: with a slash or as one character, alone or after a whole number."""

from __future__ import annotations

import re
import unicodedata

from allophone_english import numbers
from allophone_english.context import is_scored
from allophone_english.tokens import DIGIT, SIGN, Kind, Rule, Scene

_VULGAR = r"[¼-¾⅐-⅞↉]"
FRACTION = rf"(?:(?:\d{{1,9}}[ ]?)?{_VULGAR}|(?:\d{{1,9}}[ ])?\d{{1,5}}[/⁄]\d{{1,5}}(?![\d/]))"
"""As people write fractions; see `fraction_words`."""

_PIECES = re.compile(r"(?:(\d+) )?(\d+)/(\d+)")
_USUAL = {*map(str, range(2, 13)), "16", "20", "32", "64", "100", "1000"}
_IDIOMS = {
    "24/7": "twenty four seven",
    "9/11": "nine eleven",
    "50/50": "fifty fifty",
    "20/20": "twenty twenty",
}


def _ascii(written: str) -> str:
    """ "2½" -> "2 1/2"."""
    apart = re.sub(rf"(?<=\d)[ ]?({_VULGAR})", r" \1", written)
    return unicodedata.normalize("NFKC", apart).replace("⁄", "/")


def fraction_words(written: str) -> tuple[str, bool]:
    """A fraction in words, and whether a whole number is part of it."""
    pieces = _PIECES.fullmatch(_ascii(written))
    assert pieces, f"{written!r} does not match FRACTION"
    whole, above, below = pieces.groups()
    said = _parts(above, below)
    if not whole:
        return said, False
    article = "a " + said.removeprefix("one ") if above == "1" else said
    return f"{numbers.cardinal(whole)} and {article}", True


def is_share(written: str) -> bool:
    """Whether a fraction is a part of something: "3/4", but not "50/60"."""
    pieces = _PIECES.fullmatch(_ascii(written))
    return pieces is not None and int(pieces[2]) < int(pieces[3]) and pieces[3] in _USUAL


def _parts(above: str, below: str) -> str:
    several = above != "1"
    if below == "2":
        part = "halves" if several else "half"
    else:
        part = "quarter" if below == "4" else numbers.ordinal(below).removeprefix("one ")
        part += "s" if several else ""
    return f"{numbers.cardinal(above)} {part}"


def _fraction(match: re.Match[str], scene: Scene) -> str:
    written = match["fraction"]
    if written in _IDIOMS:
        return _IDIOMS[written]
    pieces = _PIECES.fullmatch(_ascii(written))
    assert pieces
    whole, above, below = pieces.groups()
    numerator, denominator = int(above), int(below)
    if is_scored(scene) and not whole:
        return f"{numbers.cardinal(above)} out of {numbers.cardinal(below)}"
    if numerator == 0 or denominator < 2 or (len(below) > 1 and below[0] == "0"):
        return f"{numbers.cardinal(whole) + ' ' if whole else ''}{numbers.cardinal(above)} {numbers.cardinal(below)}"
    if len(below) == 4 or (len(above) == 4 and len(below) == 2) or numerator == denominator:
        # Two years, a number and its year, or a share of each.
        return f"{numbers.label(above)} {numbers.label(below)}"
    if numerator > denominator > 12:
        # As of blood pressure.
        return f"{numbers.cardinal(above)} over {numbers.cardinal(below)}"
    return fraction_words(written)[0]


RULES = (
    Rule(
        "2 1/2",
        Kind.FRACTION,
        DIGIT | SIGN,
        rf"(?P<fraction>{FRACTION})(?:ths?)?(?![\w/])",
        _fraction,
    ),
)
