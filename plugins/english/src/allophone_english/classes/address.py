"""ADDRESS: streets, and what numbers houses and roads."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import has_quarter, is_direction, is_street
from allophone_english.patterns import any_of, with_point
from allophone_english.tokens import DIGIT, LETTER, Kind, Rule, Scene
from allophone_english.words.abbreviations import DIRECTIONS, STREET_WORDS, STREETS


def _street(match: re.Match[str], scene: Scene) -> str | None:
    if not is_street(match, scene):
        return None
    words = STREETS[match[1]]
    return words if has_quarter(match, scene) else with_point(words, match)


def _square(match: re.Match[str], scene: Scene) -> str:
    return with_point(STREETS[match[1]], match)


def _direction(match: re.Match[str], scene: Scene) -> str | None:
    return DIRECTIONS[match[1]] if is_direction(scene) else None


def _house(match: re.Match[str], scene: Scene) -> str:
    return f"{numbers.label(match[1])} {match[2] or ''}".strip()


def _post_office(match: re.Match[str], scene: Scene) -> str:
    box = f" Box {numbers.label(match[1])}" if match[1] else " Box"
    return "PO" + box


_NAME = r"(?:[NSEW]{1,2}\.?[ ])?(?:(?:St\.[ ])?(?:[A-Z][a-z]{1,20}|\d{1,3}(?:st|nd|rd|th))[ ]){1,3}"

RULES = (
    Rule("on Main St.", Kind.ADDRESS, LETTER, rf"({any_of(STREETS)})(\.)?(?!\w)", _street),
    Rule("the Blvd.", Kind.ADDRESS, LETTER, r"(Sq|Blvd|Pkwy|Hwy|Rd|Ave)\.(?!\w)", _square),
    Rule(
        "7 W. 34th St.",
        Kind.ADDRESS,
        LETTER,
        rf"({any_of(DIRECTIONS)})\.?(?=[ ](?:[A-Z][a-z]|\d{{1,3}}(?:st|nd|rd|th)))",
        _direction,
    ),
    Rule(
        "1600 Pennsylvania Ave.",
        Kind.ADDRESS,
        DIGIT,
        rf"(\d{{1,5}})([A-Z])?(?=[ ]{_NAME}(?:{STREET_WORDS})\b)",
        _house,
    ),
    Rule("at 221B Baker", Kind.ADDRESS, DIGIT, r"(\d{1,5})([A-Z])(?=[ ][A-Z][a-z])", _house),
    Rule(
        "P.O. Box 123",
        Kind.ADDRESS,
        LETTER,
        r"P\.?[ ]?O\.?[ ]Box(?:[ ](\d{1,6})(?![\d.,]\d|\w))?",
        _post_office,
    ),
)
