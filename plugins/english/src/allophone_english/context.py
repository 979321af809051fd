"""What the neighbours of a token decide: every ambiguity is resolved here.

Each function looks at most `Scene.REACH` characters to either side.
"""

from __future__ import annotations

import re

from allophone_english.numbers import looks_like_a_year
from allophone_english.tokens import Kind, Scene
from allophone_english.words.names import (
    AFTER_PRONOUN,
    IDENTIFIED,
    LABELLED,
    MONTHS,
    TELEPHONES,
    VERSES,
    VERSIONED,
)

_DATING = (
    r"(?:\b(?:[Ii]n|[Ss]ince|[Bb]y|[Uu]ntil|[Tt]ill|[Oo]f|[Ff]rom|[Yy]ear|[Yy]ears|[Aa]fter|[Bb]efore|[Dd]uring|circa|"
    r"[Ee]arly|[Ll]ate|[Mm]id|[Tt]he|spring|summer|autumn|fall|winter|Copyright|©|"
    + "|".join(MONTHS)
    + r")[ -])$"
)
_PLURAL = (
    r"(?!(?:was|is|has|as|its|this|his|does|us|plus|always|perhaps|yes|series|news|class|press|bus|less|across|towards|"
    r"afterwards|sometimes|besides)\b)[a-z]{2,20}(?<![su'])s"
)
_NO_ADJECTIVE = (
    r"(?:and|or|was|is|were|are|in|at|on|of|to|for|from|with|by|as|that|which|who|when|while|after|before|he|she|it|they|"
    r"we|you|the|a|an|had|has|have|will|would|until|then|but|if|his|her|its|their|our|may|can|began|ended)\b"
)
_COUNTED = (
    rf"(?:[ ]?[-–][ ]?\d[\d,.]{{0,9}})?(?:[ ](?:(?!{_NO_ADJECTIVE})\w{{2,12}}[ ])?(?:{_PLURAL}|people|men|women|children|"
    r"feet|fish|sheep|percent|of[ ]them|or[ ]more)\b(?!')|(?<=\d)[ ]?(?:[kcm]?[mg]|km/h|lbs?|ft|[MG]B|k?W)\b)"
)


def is_year(digits: str, match: re.Match[str], scene: Scene) -> bool:
    """Whether a bare number is a year: "in 1500", "1500 was"; but "1500 people", "some 2300 homes"."""
    if scene.before(_DATING):
        return looks_like_a_year(digits) or digits[:2] in ("10", "20")
    if not looks_like_a_year(digits):
        return False
    return scene.after(_COUNTED, match) is None


_ARTICLE = r"\b(?:[Aa]n?|[Aa]nother|[Ee]very|[Ee]ach|[Nn]o)[ ](?:[\d.,$£€]{1,12}[ ]?[-–][ ]?)?$"
_NOUN = (
    r"-[a-z]|[ ](?!(?:and|or|in|at|on|of|to|for|from|with|by|as|than|per|is|was|are|were|will|would|if|but|a|an|the|"
    r"each|every|more|less|off|up|down|away|apart|ago|later|early|extra|total|because|when|while|so|that|which|who|"
    r"before|after|until|since|here|there|now|today|tonight|yesterday)\b)[a-z]{2,}"
)
_NOTE = r"[ ](?:bill|bills|note|notes|coin|coins)\b"


def is_attributive(match: re.Match[str], scene: Scene) -> bool:
    """Whether a quantity stands before a noun as an adjective does: "a $5 coffee", "a 27 inch screen"."""
    if scene.after(_NOTE, match):
        return True
    return scene.before(_ARTICLE) is not None and scene.after(_NOUN, match) is not None


_IDENTIFIER = (
    rf"\b(?:(?:{IDENTIFIED})(?:[ ](?:code|codes|number|numbers|no\.|num|is|was|now|of|the|be|key))*[:#]?[ ](?:\#[ ]?)?"
    r"|ending[ ]in[ ])$"
)
_TELEPHONE = rf"\b(?:{TELEPHONES})(?:[ ](?:me|us|him|her|them|at|on|is|was|number|now|the|line|no\.))*[.:]?[ ]$"
_DIALLED = (
    r"\b(?:[Cc]all|[Dd]ial|[Rr]ing|[Pp]hone|[Tt]ext|[Cc]alled|[Dd]ialed|[Dd]ialled|[Cc]alling)[ ]$"
)
_VERSION = rf"\b(?:{VERSIONED})[ ]$"
_LABEL = rf"\b(?:{LABELLED})[ ]$"
_CODE = r"(?<![a-z])[A-Z]{1,6}[a-z]?-$"
_VERSE = rf"\b(?:{VERSES})[ ]$"
_RAN = r"\b(?:in|took|takes|lasted|lasts|time[ ]of|record[ ]of|for|after|clocked|within)[ ]$"
_DATED = r"\b(?:[Oo]n|[Dd]ated|[Dd]ue)[ ]$"
_SCORED = (
    r"\b(?:scored?|got|rated|rating|rate|graded?|marks?|gave[ ]it|a[ ]solid)(?:[ ](?:a|an|of))?[ ]$"
)
_PRONOUN = rf"'|[ ](?:{AFTER_PRONOUN})\b"


_CALM = r"[a-z]"
_SHOUTED = r"(?!.*[a-z])(?:.*[A-Z]{2})"


def is_shouted(match: re.Match[str], scene: Scene) -> bool:
    """Whether all words around are in capitals, so that one of them is no initialism for that."""
    return scene.before(_CALM) is None and scene.after(_SHOUTED, match) is not None


def is_identifier(scene: Scene) -> bool:
    """Whether every digit is read: "PIN 4821", "zip code 60614"."""
    return scene.before(_IDENTIFIER) is not None


def is_telephone(digits: str, scene: Scene) -> bool:
    """Whether digits without groups are a telephone number: "call 2125550187", "dial 911"."""
    if len(digits) == 3:
        return digits[1:] in ("11", "12", "99", "00") and scene.before(_DIALLED) is not None
    return 7 <= len(digits) <= 15 and scene.before(_TELEPHONE) is not None


def is_version(scene: Scene) -> bool:
    """Whether the point of a number divides the parts of a version: "Python 3.11"."""
    return scene.before(_VERSION) is not None


def is_label(scene: Scene) -> bool:
    """Whether a number names something: "Flight 370"."""
    return scene.before(_LABEL) is not None


def is_code(scene: Scene) -> bool:
    """Whether a number belongs to an initialism before it: "COVID-19", "US-101"."""
    if scene.last and scene.last.spoken:
        # The hyphen is a range's: "50Hz-60Hz".
        return False
    return scene.before(_CODE) is not None


def is_verse(scene: Scene) -> bool:
    """Whether a colon divides chapter and verse: "John 3:16"."""
    return scene.before(_VERSE) is not None


def is_duration(scene: Scene) -> bool:
    """Whether a time is how long something took: "in 2:03:23"."""
    return scene.before(_RAN) is not None


def is_dated(scene: Scene) -> bool:
    """Whether "3/4" is a day of the year: "on 3/4"."""
    return scene.before(_DATED) is not None


def is_scored(scene: Scene) -> bool:
    """Whether "8/10" is so many of so many: "scored 8/10"."""
    return scene.before(_SCORED) is not None


def is_pronoun(match: re.Match[str], scene: Scene) -> bool:
    """Whether the I after a name is who speaks: "the chapter I wrote", "Elizabeth I'm"."""
    return scene.after(_PRONOUN, match) is not None


def follows_quantity(scene: Scene, *kinds: Kind) -> bool:
    """Whether the token before, with at most a space between, is of one of these kinds."""
    last = scene.last
    return last is not None and last.kind in kinds and scene.start - last.end <= 1
