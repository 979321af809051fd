"""DIGIT: numbers that identify and do not count, read digit by digit."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import is_identifier, is_verse
from allophone_english.patterns import any_of
from allophone_english.tokens import DIGIT, LETTER, Kind, Rule, Scene
from allophone_english.words.names import STATES


def _groups(match: re.Match[str], scene: Scene) -> str | None:
    if scene.glued:
        return None
    groups = [
        numbers.digit_by_digit(group) if group.isdecimal() else group
        for group in re.findall(r"\d+|[A-Z]", match[0])
    ]
    return ", ".join(groups)


def _identifier(match: re.Match[str], scene: Scene) -> str | None:
    if not is_identifier(scene):
        return None
    return " ".join(numbers.digit_by_digit(group) for group in re.findall(r"\d+", match[0]))


def _zip_code(match: re.Match[str], scene: Scene) -> str:
    return f"{STATES[match[1]]} {', '.join(map(numbers.digit_by_digit, match[2].split('-')))}"


def _version(match: re.Match[str], scene: Scene) -> str | None:
    """ "v1.2.3-beta" -> "version one dot two dot three beta"."""
    if re.fullmatch(r"\d{1,3}(?:\.000){2,}", match[0]):
        # "1.000.000" is a million.
        return None
    version = "version " if match["v"] else ""
    said = version + " dot ".join(map(numbers.label, match["parts"].split(".")))
    if match["stage"]:
        said += " " + match["stage"]
    return said + (" " + numbers.cardinal(match["stage_number"]) if match["stage_number"] else "")


def _short_version(match: re.Match[str], scene: Scene) -> str:
    """ "v2", "v2.10"."""
    whole, point, minor = match[1].partition(".")
    return f"version {numbers.cardinal(whole)}{' point ' + numbers.label(minor) if point else ''}"


def _verse(match: re.Match[str], scene: Scene) -> str | None:
    if not is_verse(scene):
        return None
    last = f" to {numbers.label(match[3])}" if match[3] else ""
    return f"{numbers.label(match[1])} {numbers.label(match[2])}{last}"


def _plan(match: re.Match[str], scene: Scene) -> str:
    """ "401(k)"."""
    return f"{numbers.label(match[1])} {match[2]}"


def _serial(match: re.Match[str], scene: Scene) -> str | None:
    """ "MIG-25-B-7": hyphens within what has letters and digits are no ranges."""
    if not re.search("[A-Za-z]", match[0]):
        return None
    return " ".join(
        numbers.label(piece) if piece.isdecimal() else piece
        for piece in re.findall(r"\d+|[A-Za-z]+", match[0])
    )


def _hexadecimal(match: re.Match[str], scene: Scene) -> str:
    """ "0x1F"."""
    return " ".join(numbers.digit_by_digit(sign) if sign.isdecimal() else sign for sign in match[0])


RULES = (
    Rule("0x1F", Kind.DIGIT, DIGIT, r"0x[\da-fA-F]{1,16}(?!\w)", _hexadecimal),
    Rule("John 3:16", Kind.DIGIT, DIGIT, r"(\d{1,3}):(\d{1,3})(?:[-–](\d{1,3}))?(?![\d:])", _verse),
    Rule("a 401(k)", Kind.DIGIT, DIGIT, r"(\d{3})\(([a-z])\)", _plan),
    Rule(
        "v1.2.3-beta",
        Kind.DIGIT,
        DIGIT | LETTER,
        r"(?P<v>v(?:[ .](?=\d))?)?(?P<parts>\d{1,9}(?:\.\d{1,9}){2,20})"
        r"(?:[-.]?(?P<stage>alpha|beta|rc|dev|pre|post)(?:[.-]?(?P<stage_number>\d{1,4}))?)?",
        _version,
    ),
    Rule("v2.5", Kind.DIGIT, LETTER, r"v\.?(\d{1,4}(?:\.\d{1,4})?)(?![\w.]\w|\w)", _short_version),
    # A telephone number, a date and a range have no more than two hyphens, or are dealt with before.
    Rule(
        "078-05-1120",
        Kind.DIGIT,
        DIGIT,
        r"\d{1,20}(?:-\d{1,20}){2,40}(?:-[\dX])?(?![\w-])",
        _groups,
    ),
    Rule(
        "2020-00123",
        Kind.DIGIT,
        DIGIT,
        r"(?:\d{5}-\d{4}|\d{3,6}-0\d{2,12}|0\d{2,5}-\d{2,12}|\d{4}-\d{3}X)(?![\w-])",
        _groups,
    ),
    Rule(
        "4111 1111 1111 1111",
        Kind.DIGIT,
        DIGIT,
        r"(?:\d{4}(?:[ ]\d{4}){3}|\d{4}[ ]\d{6}[ ]\d{5})(?![ ]?\d)(?!\w)",
        _groups,
    ),
    Rule(
        "PIN 4821", Kind.DIGIT, DIGIT, r"\d{3,30}(?:[ -]\d{2,10}){0,4}(?![\d,.]\d|\w)", _identifier
    ),
    Rule(
        "CA 90210",
        Kind.DIGIT,
        LETTER,
        rf"({any_of(STATES)}),?[ ](\d{{5}}(?:-\d{{4}})?)(?![\w-])",
        _zip_code,
    ),
    Rule(
        "MIG-25-B-7",
        Kind.DIGIT,
        DIGIT | LETTER,
        r"(?:\d{1,9}|[A-Za-z]{1,2}|[A-Z]{1,8})(?:-(?:\d{1,9}[A-Z]?|[a-z]{1,2}|[A-Z]{1,8})){2,12}(?![\w-])",
        _serial,
    ),
)
