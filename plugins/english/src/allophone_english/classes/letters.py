"""LETTERS: initialisms, abbreviations, and compounds of letters and digits.

What is written in capitals stays so, for the phonemizer knows which of them are words.
"""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import follows_quantity, is_first_name, is_party, is_shouted
from allophone_english.patterns import any_of, ends_text, with_point
from allophone_english.tokens import LETTER, SIGN, Kind, Rule, Scene
from allophone_english.words.abbreviations import (
    BEFORE_NUMBER,
    ENDINGS,
    INITIALISMS,
    LINKS,
    TITLES,
    TITLES_WITHOUT_POINT,
)


def _title(match: re.Match[str], scene: Scene) -> str:
    return TITLES[match[1]]


def _link(match: re.Match[str], scene: Scene) -> str | None:
    if match[0] == "EST.":
        # Eastern Standard Time.
        return None
    words = LINKS[match[0].lower()]
    if match[0][0].isupper():
        words = words.capitalize()
    return words + "." if match[0][-1] == "." and ends_text(match) else words


def _ending(match: re.Match[str], scene: Scene) -> str:
    return with_point(ENDINGS[match[0]], match)


def _before_number(match: re.Match[str], scene: Scene) -> str | None:
    words = BEFORE_NUMBER[match[1].lower()]
    if match[1] == "~" and follows_quantity(scene):
        # "5~6" is a range.
        return None
    if match[1] == "C." or (scene.glued and match[1][0].isalpha()):
        return None
    return words


def _versus(match: re.Match[str], scene: Scene) -> str | None:
    return "versus" if is_party(scene) else None


def _initials_of_a_name(match: re.Match[str], scene: Scene) -> str:
    return match[0].replace(".", "")


def _initialism(match: re.Match[str], scene: Scene) -> str:
    letters = match[0].replace(".", "")
    return letters + "." if ends_text(match) else letters


def _middle_initial(match: re.Match[str], scene: Scene) -> str | None:
    return match[1] if is_first_name(scene) else None


def _shouted(match: re.Match[str], scene: Scene) -> str | None:
    """ "NOW IT IS GOOD": a word, though its letters are read one by one elsewhere."""
    return match[0].lower() if is_shouted(match, scene) else None


def _whole(match: re.Match[str], scene: Scene) -> str:
    return INITIALISMS[match[0]]


def _joined_by_and(match: re.Match[str], scene: Scene) -> str:
    """ "R&D", "AT&T"."""
    return match[0].replace("&", " and ")


def _grade(match: re.Match[str], scene: Scene) -> str | None:
    return None if scene.glued else f"{match[1]} {'minus' if match[2] == '-' else 'plus'}"


def _sharp(match: re.Match[str], scene: Scene) -> str:
    return f"{match[1]} sharp"


def _compound(match: re.Match[str], scene: Scene) -> str | None:
    """ "HTML5", "B2B", "C6H12O6": letters, and numbers that name something."""
    if scene.last and scene.last.spoken and scene.last.end == scene.start:
        # "5x7"
        return None
    pieces = re.findall(r"[^\W\d_]+|\d+", match[0])
    return " ".join(numbers.label(piece) if piece.isdecimal() else piece for piece in pieces)


_WORDS = [written for written in BEFORE_NUMBER if written[0].isalpha()]

RULES = (
    Rule("NOW IT IS GOOD", Kind.PLAIN, LETTER, r"IT(?!\w)", _shouted),
    Rule("WWII", Kind.LETTERS, LETTER, rf"(?:{any_of(INITIALISMS)})(?!\w)", _whole),
    Rule("Dr. Ng", Kind.LETTERS, LETTER, rf"({any_of(TITLES)})\.(?=\s(?!\d))", _title),
    Rule(
        "Mr Lee",
        Kind.LETTERS,
        LETTER,
        rf"({any_of(TITLES_WITHOUT_POINT)})(?=[ ][A-Z][a-z])",
        _title,
    ),
    Rule("Acme Ltd.", Kind.LETTERS, LETTER, rf"(?:{any_of(ENDINGS)})(?!\w)", _ending),
    Rule(
        "e.g. this",
        Kind.LETTERS,
        LETTER,
        rf"(?i:{any_of(set(LINKS) - {'w/', 'w/o', 'c/o', 'vs'})})(?!\w)",
        _link,
    ),
    Rule("w/ milk", Kind.LETTERS, LETTER, r"(?:w/o|w/|c/o|vs)(?!\w)", _link),
    Rule("stone, &c. and", Kind.LETTERS, SIGN, r"&c\.(?!\w)", _link),
    Rule("Roe v. Wade", Kind.LETTERS, LETTER, r"v\.(?=[ ][A-Z])", _versus),
    Rule(
        "no. 5",
        Kind.LETTERS,
        LETTER,
        rf"((?i:{any_of(_WORDS)}))[ ]?(?=[\d#(]|[IVX]{1, 6}\b)",
        _before_number,
    ),
    Rule("#1", Kind.VERBATIM, SIGN, r"(\#|№|§§|§|¶|~|≈)[ ]?(?=[$£€]?\.?\d)", _before_number),
    Rule(
        "J. R. R. Tolkien",
        Kind.LETTERS,
        LETTER,
        r"(?:[A-Z]\.[ ]?){2,6}(?=[A-Z][a-z])",
        _initials_of_a_name,
    ),
    Rule("the F.B.I.", Kind.LETTERS, LETTER, r"(?:[A-Z]\.){2,12}(?!\w)", _initialism),
    Rule(
        "William H. Gates", Kind.LETTERS, LETTER, r"([A-HJ-Z])\.(?=[ ][A-Z][a-z])", _middle_initial
    ),
    Rule("R&D", Kind.LETTERS, LETTER, r"[A-Z]{1,3}(?:&[A-Z]{1,3}){1,3}(?!\w)", _joined_by_and),
    Rule("a B+", Kind.LETTERS, LETTER, r"([A-DFO]|AB)([-+])(?![\w+#-]|[ ]?[\d=])", _grade),
    Rule("C#", Kind.LETTERS, LETTER, r"([A-G])[#♯](?!\w)", _sharp),
    Rule(
        "HTML5",
        Kind.LETTERS,
        LETTER,
        r"[^\W\d_]{1,30}(?:\d{1,12}[^\W\d_]{1,12}){0,12}\d{1,12}(?![\d.,]\d|\w)|[^\W\d_]{1,30}(?:\d{1,12}[^\W\d_]{1,12}){1,12}(?!\w)",
        _compound,
    ),
)
