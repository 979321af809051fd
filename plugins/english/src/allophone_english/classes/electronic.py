"""ELECTRONIC: addresses of pages and people on the net, names of files, hashtags and handles, sign by sign."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.tokens import DIGIT, LETTER, SIGN, Kind, Rule, Scene
from allophone_english.words.names import DOMAINS, FILES, WORDS_THAT_ARE_DOMAINS

SIGNS = {
    ".": "dot",
    "/": "slash",
    "\\": "backslash",
    "@": "at",
    ":": "colon",
    "-": "dash",
    "_": "underscore",
    "?": "question mark",
    "=": "equals",
    "&": "and",
    "#": "hash",
    "%": "percent",
    "~": "tilde",
    "+": "plus",
    ",": "comma",
    ";": "semicolon",
    "!": "exclamation mark",
    "$": "dollar",
    "*": "star",
    "'": "apostrophe",
    "(": "open parenthesis",
    ")": "close parenthesis",
}

_PIECES = re.compile(r"\d+|[^\W\d_]+|.")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def _spelled(written: str) -> str:
    """Words, numbers and signs of an address; what has no word stays as it is."""
    said = []
    for piece in _PIECES.findall(written):
        if piece.isdecimal():
            # Only small numbers are likely to be meant as numbers.
            said.append(
                numbers.cardinal(piece) if len(piece) < 3 else numbers.digit_by_digit(piece)
            )
        else:
            said.append(SIGNS.get(piece, piece))
    return " ".join(said)


def _address(match: re.Match[str], scene: Scene) -> str:
    return _spelled(re.sub(r"^https?://", "", match[0]))


def _host(match: re.Match[str], scene: Scene) -> str | None:
    """A name of a host without "www."; words that a missing space has joined are none."""
    if match["ending"] in WORDS_THAT_ARE_DOMAINS and not match["path"]:
        return None
    return _spelled(match[0])


def _name(match: re.Match[str], scene: Scene) -> str:
    return _spelled(match[0])


def _path(match: re.Match[str], scene: Scene) -> str | None:
    return None if scene.glued else _spelled(match[0])


def _hashtag(match: re.Match[str], scene: Scene) -> str | None:
    return None if scene.glued else f"hashtag {_tagged(match[1])}"


def _handle(match: re.Match[str], scene: Scene) -> str | None:
    return None if scene.glued else f"at {_spelled(match[1])}"


def _tagged(written: str) -> str:
    """ "MondayMood2024" -> "Monday Mood twenty twenty four"."""
    apart = " ".join(_HUMPS.split(written)).replace("_", " ")
    return re.sub(r"\d+", lambda digits: f" {numbers.label(digits[0])} ", apart).strip()


_LABEL = r"[A-Za-z0-9](?:[\w-]{0,40}[A-Za-z0-9])?"
# An address ends before the punctuation of the sentence.
_TAIL = r"[\w./:@?=&\#%~+,;!$*'()-]{0,300}[\w/=&\#+]"
_PATH = rf"(?:[/?]{_TAIL}|/)"
_FOLDER = r"[\w.+-]{1,60}"

RULES = (
    Rule(
        "https://example.com/a",
        Kind.ELECTRONIC,
        LETTER,
        rf"(?:https?|ftp|file|ssh|git)://{_TAIL}",
        _address,
    ),
    Rule("www.example.com", Kind.ELECTRONIC, LETTER, rf"www\.{_TAIL}", _address),
    Rule(
        "me@example.com",
        Kind.ELECTRONIC,
        LETTER | DIGIT,
        r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}(?<!-)",
        _name,
    ),
    Rule(
        "example.com/about",
        Kind.ELECTRONIC,
        LETTER | DIGIT,
        rf"(?=[\w-]{{1,63}}\.[\w])(?:{_LABEL}\.){{1,6}}(?P<ending>{DOMAINS})(?![\w-]|\.\w)(?::\d{{2,5}})?(?P<path>{_PATH})?",
        _host,
    ),
    Rule("localhost:8080", Kind.ELECTRONIC, LETTER, rf"localhost(?::\d{{2,5}})?{_PATH}?", _name),
    Rule(
        "report.pdf",
        Kind.ELECTRONIC,
        LETTER | DIGIT,
        rf"(?:[\w.-]{{1,60}}/){{0,12}}[\w-]{{1,60}}(?:\.[\w-]{{1,30}}){{0,3}}\.(?:{FILES})(?!\w)",
        _name,
    ),
    Rule("C:\\temp\\log", Kind.ELECTRONIC, LETTER, rf"[A-Z]:(?:\\{_FOLDER}){{1,20}}\\?", _name),
    Rule(
        "/usr/local/bin",
        Kind.ELECTRONIC,
        SIGN,
        rf"(?:~|\.\.?)?(?:/{_FOLDER}(?<![.])){{1,20}}/?(?!\w)",
        _path,
    ),
    Rule("a .txt file", Kind.ELECTRONIC, SIGN, rf"(?<![\w.])\.(?:{FILES})(?!\w)", _name),
    Rule("#MondayMood", Kind.ELECTRONIC, SIGN, r"\#(\d{0,6}[A-Za-z]\w{1,60})", _hashtag),
    Rule("@nasa", Kind.ELECTRONIC, SIGN, r"@([^\W\d]\w{1,40}(?:\.\w{1,40}){0,2})", _handle),
)
