"""What neighbouring words decide: every ambiguity is resolved here, by one question each.

A question sees at most `Scene.REACH` characters to either side. The classes that ask are named by the headings.
"""

from __future__ import annotations

import re

from allophone_english.numbers import looks_like_a_year
from allophone_english.tokens import QUANTITIES, Kind, Scene
from allophone_english.words.names import (
    AFTER_PRONOUN,
    IDENTIFIED,
    LABELLED,
    MONTHS,
    NUMBERED,
    REGNAL,
    TELEPHONES,
    UNTITLED,
    VERSES,
    VERSIONED,
)


def follows_quantity(scene: Scene, *kinds: Kind) -> bool:
    """Whether the token before, with at most a space between, is a quantity, or of one of some kinds."""
    last = scene.last
    return last is not None and last.kind in (kinds or QUANTITIES) and scene.start - last.end <= 1


# DATE

_DATING = (
    r"(?:\b(?:[Ii]n|[Ss]ince|[Bb]y|[Uu]ntil|[Tt]ill|[Oo]f|[Ff]rom|[Yy]ears?|[Aa]fter|[Bb]efore|[Dd]uring|circa|"
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
    return looks_like_a_year(digits) and not scene.after(_COUNTED, match)


def is_wait(scene: Scene) -> bool:
    """Whether "30s" is seconds: "wait 30s"; but "the 30s"."""
    return scene.before(
        r"\b(?:[Ww]ait|for|after|every|within|another|takes?|took|under|over|about|only|than)[ ]$"
    )


def ends_years(scene: Scene) -> bool:
    """Whether two digits are the second year of a pair: "1999-05"."""
    return scene.before(r"\b[12]\d{3}[ ]?[-–][ ]?$")


def is_dated(scene: Scene) -> bool:
    """Whether "3/4" is a day of the year: "on 3/4"."""
    return scene.before(r"\b(?:[Oo]n|[Dd]ated|[Dd]ue)[ ]$")


def is_month_and_count(match: re.Match[str], scene: Scene) -> bool:
    """Whether the number after a month counts something: "in May 12 ships sank"."""
    counts = scene.after(r"[ ](?!(?:was|is|has|this|its|as)\b)[a-z]{3,}s\b", match)
    return counts and scene.before(r"\b[Ii]n[ ]$")


def has_article(scene: Scene) -> bool:
    """Whether "the" stands before, perhaps with a word between: "the 10 May meeting"."""
    return scene.before(r"\b[Tt]he[ ](?:\w+[ ])?$")


# TIME

_RATIO = r"[ ](?:ratio|odds|aspect|scale|mix|split|screen|display|favorite|majority)\b"
_RAN = r"\b(?:in|took|takes|lasted|lasts|time[ ]of|record[ ]of|for|after|clocked|within)[ ]$"


def is_ratio(match: re.Match[str], scene: Scene) -> bool:
    """Whether what looks like a time is none: "a 10:20 ratio"."""
    return scene.after(_RATIO, match)


def is_duration(scene: Scene) -> bool:
    """Whether a time is how long something took: "in 2:03:23"."""
    return scene.before(_RAN)


def begins_times(match: re.Match[str], scene: Scene) -> bool:
    """Whether a range of times begins: "5:00-6:00"."""
    return scene.after(r"[ ]?[-–][ ]?\d{1,2}[:.]\d\d", match)


def has_zone(match: re.Match[str], scene: Scene) -> bool:
    """Whether a time zone follows: "5 p.m. EST"."""
    return scene.after(r"[ ]\(?[A-Z]{2,4}\b", match)


def is_twelve(scene: Scene) -> bool:
    """Whether the word before is a time: "noon-3pm"."""
    return scene.before(r"\b(?:[Nn]oon|[Mm]idnight)[ ]?$")


# MONEY, MEASURE

_ARTICLE = r"\b(?:[Aa]n?|[Aa]nother|[Ee]very|[Ee]ach|[Nn]o)[ ](?:[\d.,$£€]{1,12}[ ]?[-–][ ]?)?$"
_NOUN = (
    r"-[a-z]|[ ](?!(?:and|or|in|at|on|of|to|for|from|with|by|as|than|per|is|was|are|were|will|would|if|but|a|an|the|"
    r"each|every|more|less|off|up|down|away|apart|ago|later|early|extra|total|because|when|while|so|that|which|who|"
    r"before|after|until|since|here|there|now|today|tonight|yesterday)\b)[a-z]{2,}"
)


def is_attributive(match: re.Match[str], scene: Scene) -> bool:
    """Whether a quantity stands before a noun as an adjective does: "a $5 coffee", "a 27 inch screen"."""
    if scene.after(r"[ ](?:bill|note|coin)s?\b", match):
        return True
    return scene.before(_ARTICLE) and scene.after(_NOUN, match)


_SIZED = r"[ ]?(?:[x×][ ]?\d|-\d)|[ ](?:tall|wide|long|high|deep|by|above|below)\b"


def is_length(match: re.Match[str], scene: Scene) -> bool:
    """Whether the mark after a number is feet, and no quotation mark: "6' tall", "5'x7'"."""
    return scene.after(_SIZED, match) or scene.before(r"'[ ]?[x×][ ]?$")


# CARDINAL, DIGIT, TELEPHONE

_IDENTIFIER = (
    rf"\b(?:(?:{IDENTIFIED})(?:[ ](?:code|codes|number|numbers|no\.|num|is|was|now|of|the|be|key))*[:#]?[ ](?:\#[ ]?)?"
    r"|ending[ ]in[ ])$"
)
_TELEPHONE = rf"\b(?:{TELEPHONES})(?:[ ](?:me|us|him|her|them|at|on|is|was|number|now|the|line|no\.))*[.:]?[ ]$"
_DIALLED = r"\b(?:[Cc]all(?:ed|ing)?|[Dd]ial(?:l?ed)?|[Rr]ing|[Pp]hone|[Tt]ext)[ ]$"
_SCORED = (
    r"\b(?:scored?|got|rated|rating|rate|graded?|marks?|gave[ ]it|a[ ]solid)(?:[ ](?:a|an|of))?[ ]$"
)
_VERSION = rf"\b(?:{VERSIONED})[ ]$"
_LABEL = rf"\b(?:{LABELLED})[ ]$"
_VERSE = rf"\b(?:{VERSES})[ ]$"


def is_identifier(scene: Scene) -> bool:
    """Whether every digit is read: "PIN 4821", "zip code 60614"."""
    return scene.before(_IDENTIFIER)


def is_telephone(digits: str, scene: Scene) -> bool:
    """Whether digits without groups are a telephone number: "call 2125550187", "dial 911"."""
    if len(digits) == 3:
        return digits[1:] in ("11", "12", "99", "00") and scene.before(_DIALLED)
    return 7 <= len(digits) <= 15 and scene.before(_TELEPHONE)


def is_version(scene: Scene) -> bool:
    """Whether the point of a number divides the parts of a version: "Python 3.11"."""
    return scene.before(_VERSION)


def is_label(scene: Scene) -> bool:
    """Whether a number names something: "Flight 370"."""
    return scene.before(_LABEL)


def is_code(scene: Scene) -> bool:
    """Whether a number belongs to an initialism before it: "COVID-19", "US-101"; but "50Hz-60Hz"."""
    in_range = scene.last is not None and scene.last.spoken
    return not in_range and scene.before(r"(?<![a-z])[A-Z]{1,6}[a-z]?-$")


def is_verse(scene: Scene) -> bool:
    """Whether a colon divides chapter and verse: "John 3:16"."""
    return scene.before(_VERSE)


def is_scored(scene: Scene) -> bool:
    """Whether "8/10" is so many of so many: "scored 8/10"."""
    return scene.before(_SCORED)


# Roman numerals

_CENTURY = (
    r"[ -](?:[Cc]entur(?:y|ies)|[Dd]ynasty|[Oo]lympi\w{1,4}|[Cc]orps|[Aa]mendment|[Ll]egion)\b"
)
_COUNTS = rf"\b(?:(?i:{NUMBERED})s?|[Vv]ols?\.|Ch\.|pp?\.)[ ]$"
_COUNTS_I = rf"\b(?:{NUMBERED})s?[ ]$"
_REGNAL = rf"\b(?:{REGNAL})[ ]$"
_REGNAL_THE = rf"\b(?:{REGNAL})[ ]the[ ]$"
_NAME = rf"\b(?!(?:{UNTITLED})[ ])[A-Z][a-zà-ÿ]{{2,20}}[ ]$"
_PRONOUN = rf"'(?!s\b)|[ ](?:{AFTER_PRONOUN})\b"


def is_numbered(match: re.Match[str], scene: Scene) -> bool:
    """Whether a numeral counts the word before: "Chapter IV", "Act I"; but "the chapter I wrote"."""
    if match[0] == "I":
        return scene.before(_COUNTS_I) and not is_pronoun(match, scene)
    return scene.before(_COUNTS)


def continues_numerals(scene: Scene) -> bool:
    """Whether the numeral before, which counts something, goes on: "Parts I and II", "I-III"."""
    spoken = [token for token in scene.tokens[-3:] if token.spoken and token.kind is Kind.CARDINAL]
    return bool(spoken) and scene.before(r"[MDCLXVI](?:[ ](?:and|or|to|through|&)[ ]|,?[ ]|[-–])$")


def is_regnal(match: re.Match[str], scene: Scene) -> bool:
    """Whether a numeral tells bearers of a name apart: "Henry VIII", "Elizabeth I"; but "Peter I think"."""
    numeral = match["numeral"]
    if scene.before(_REGNAL):
        return numeral not in "MDCLI" or (numeral == "I" and not is_pronoun(match, scene))
    roman = len(numeral) > 1 and set(numeral) <= set("XVI")
    return roman and scene.before(_NAME)


def is_regnal_after_the(scene: Scene) -> bool:
    """Whether "the" stands between a name and its numeral: "Henry the VIII"."""
    return scene.before(_REGNAL_THE)


def is_of_an_age(match: re.Match[str], scene: Scene) -> bool:
    """Whether a numeral counts centuries and the like: "the XX century"."""
    return match["numeral"] != "I" and scene.after(_CENTURY, match)


def is_pronoun(match: re.Match[str], scene: Scene) -> bool:
    """Whether an I is who speaks: "the chapter I wrote", "Elizabeth I'm"; but "Elizabeth I's"."""
    return scene.after(_PRONOUN, match)


def is_page(scene: Scene) -> bool:
    """Whether a small numeral counts the word before: "page xiv"."""
    return scene.before(
        r"\b(?:[Cc]hapter|[Pp]ages?|[Pp]art|[Ss]ection|[Vv]olume|[Bb]ook|[Aa]ct|[Ss]cene|[Aa]rticle|pp?\.)[ ]$"
    )


# LETTERS


def is_shouted(match: re.Match[str], scene: Scene) -> bool:
    """Whether all words around are in capitals, so that one of them is no initialism for that."""
    return not scene.before(r"[a-z]") and scene.after(r"(?!.*[a-z]).*[A-Z]{2}", match)


def is_party(scene: Scene) -> bool:
    """Whether someone stands before "v.": "Roe v. Wade"."""
    return scene.before(r"\b[A-Z][\w.]*[ ]$")


def is_first_name(scene: Scene) -> bool:
    """Whether a name stands before an initial: "William H. Gates"."""
    return scene.before(r"\b[A-Z][a-z]+[ ]$")


# ADDRESS

_NO_STREET = r"(?:The|In|At|On|Of|And|From|To|By|Mount|Fort|Port|Near|See|Visit|St)"
_NAMED = rf"(?:\b(?!{_NO_STREET}\b)[A-Z][a-z]{{1,30}}(?:'s)?|\d(?:st|nd|rd|th))[ ]$"
_HOUSE_AND_NAME = r"\b\d{1,5}[A-Z]?(?:[ ](?:[NSEW]\.?|[A-Z][a-z]+|\d+(?:st|nd|rd|th))){1,3}[ ]$"


def is_street(match: re.Match[str], scene: Scene) -> bool:
    """Whether the name of a street stands before: "Main St."; but "in St. Louis", "see Dr. Ng".

    What is something else as often, or has no point, must have the number of a house.
    """
    if not scene.before(_NAMED):
        return False
    doubtful = match[1] in ("Dr", "Ct", "Pl") or not match[0].endswith(".")
    return not doubtful or (
        scene.before(_HOUSE_AND_NAME)
        and not (match[1] == "Dr" and scene.after(r"[ ][A-Z][a-z]", match))
    )


def has_quarter(match: re.Match[str], scene: Scene) -> bool:
    """Whether a quarter of a town follows a street: "Pennsylvania Ave. NW"."""
    return scene.after(r"[ ](?:NE|NW|SE|SW|[NSEW])\b", match)


def is_direction(scene: Scene) -> bool:
    """Whether a letter is a direction, after the number of a house or a street: "7 W. 34th St."."""
    return scene.before(r"(?:\b\d{1,5}[A-Z]?|[A-Z][a-z]+[ ](?:St|Ave|Blvd|Rd)\.)[ ]$")


# VERBATIM

_LENGTH = r"[ ]?\d[\d.,]{0,12}[ ]?(?:[mck]?m\b|ft\b|in\b|feet|foot|inch|meters?|metres?|yards?|miles?|pixels|[\"'])"


def is_equation(match: re.Match[str], scene: Scene) -> bool:
    """Whether an equals sign is near, with nothing but numbers and signs between: "7 - 3 = 4"."""
    return scene.after(r"[-+×÷*/=\d. ()]{0,40}=", match) or scene.before(r"=[-+×÷*/\d. ()]{0,40}$")


def is_size(match: re.Match[str], scene: Scene) -> bool:
    """Whether a cross stands between lengths: "3 × 4 m", "a 9×13 pan"; but "3×4"."""
    return (
        follows_quantity(scene, Kind.MEASURE)
        or scene.before(r"\b(?:[Aa]n?|[Tt]he)[ ][\d.]{1,8}[ ]?$")
        or scene.after(_LENGTH, match)
    )


def is_compared(scene: Scene) -> bool:
    """Whether a variable or a number is compared, without a verb: "x < 5"; but "is < 5"."""
    verb = scene.before(r"\b(?:is|are|was|be|not)[ ]$")
    return not verb and scene.before(r"(?:\b[A-Za-z]|\d)[ ]?$")
