"""TELEPHONE: numbers of telephones, their groups divided by commas."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import is_telephone
from allophone_english.tokens import DIGIT, SIGN, Kind, Rule, Scene

_SEPARATOR = r"[ .\u2011-]"
_INTERNATIONAL = rf"\+\d{{1,3}}(?:{_SEPARATOR}?\(\d{{1,5}}\))?(?:{_SEPARATOR}?\d{{1,12}}){{1,6}}"
_AMERICAN = r"(?:1[ .-])?(?:\(\d{3}\)[ -]?|\d{3}(?P<by>[ ./-]))\d{3}[ .-]\d{4}"
_LOCAL = r"\d{3}-\d{4}"
_TRUNK = r"(?:\(0\d{1,5}\)[ ]?|\(0\)[ ]?\d{1,5}[ /-]|0\d{1,5}[ /-])\d{3,8}(?:[ -]\d{2,6}){0,3}"
_SERVICE = r"(?:1[ .-])?8(?:00|88|77|66|55|44|33)-[A-Z]{1,12}(?:-(?:[A-Z]{1,12}|\d{1,4})){0,3}"
_TOLL_FREE = {"800", "900"}


def _telephone(match: re.Match[str], scene: Scene) -> str | None:
    count = sum(map(str.isdecimal, match[0]))
    if scene.glued or not 7 <= count <= 15:
        return None
    return _grouped(match[0])


def _with_trunk_prefix(match: re.Match[str], scene: Scene) -> str | None:
    """As in Britain: 9 to 11 digits, of which the first is 0."""
    count = sum(map(str.isdecimal, match[0]))
    return _grouped(match[0]) if 9 <= count <= 11 and not scene.glued else None


def _ungrouped(match: re.Match[str], scene: Scene) -> str | None:
    return numbers.digit_by_digit(match[0]) if is_telephone(match[0], scene) else None


def _grouped(written: str) -> str:
    groups = re.findall(r"\d+|[A-Z]+", written)
    said = [_group(group, index) for index, group in enumerate(groups)]
    return ("plus " if written[0] == "+" else "") + ", ".join(said)


def _group(group: str, index: int) -> str:
    if group.isalpha():
        return group
    if group in _TOLL_FREE and index < 2:
        return numbers.cardinal(group)
    return numbers.digit_by_digit(group)


RULES = (
    Rule("+1 212 555 0142", Kind.TELEPHONE, SIGN, rf"{_INTERNATIONAL}(?![\w-])", _telephone),
    Rule("(212) 555-0142", Kind.TELEPHONE, DIGIT | SIGN, rf"{_AMERICAN}(?![\w-])", _telephone),
    Rule("020 7946 0958", Kind.TELEPHONE, DIGIT | SIGN, rf"{_TRUNK}(?![\w-])", _with_trunk_prefix),
    Rule("555-0142", Kind.TELEPHONE, DIGIT, rf"{_LOCAL}(?![\w-])", _telephone),
    Rule(
        "1-800-FLOWERS",
        Kind.TELEPHONE,
        DIGIT,
        rf"{_SERVICE}(?![\w-])",
        lambda match, scene: _grouped(match[0]),
    ),
    Rule("call 2125550142", Kind.TELEPHONE, DIGIT, r"\d{3,15}(?![\d,.]\d|\w)", _ungrouped),
)
