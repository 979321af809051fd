"""Which scripts eSpeak NG can read in which language.

Letters that it cannot read, it names: "Chinese letter", "Hebrew shin". That is of no use in speech, and does
harm in a model's training data. The table was made by letting every language of eSpeak NG 1.52 read a word of
each script, and looking which of them came out as names of letters.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator

_READ_EVERYWHERE = frozenset(
    [
        "ARMENIAN",
        "BENGALI",
        "DEVANAGARI",
        "GEORGIAN",
        "GUJARATI",
        "GURMUKHI",
        "HANGUL",
        "KANNADA",
        "MALAYALAM",
        "SINHALA",
        "TAMIL",
    ]
)
_READ_IN = {
    "ARABIC": "ar fa sd ug ur",
    "CHEROKEE": "chr",
    "CJK": "cmn yue zh",
    "CYRILLIC": "ba be bg bs cv hbs hr ka kaa kk ky lfn ltg lv mk nog ru sr tt uk uz",
    "ETHIOPIC": "am ti",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "MYANMAR": "my shn",
    "ORIYA": "or",
    "SHAVIAN": "en",
    "TELUGU": "te",
    "THAI": "th",
}
"""The languages that read a script, where few do."""
_NOT_READ_IN = {
    "GREEK": "af bs en hbs hr lt mk sr vi",
    "LATIN": "ba chr cv hyw ja kok ky my nog shn ti",
}
"""The languages that do not, where most do. A single Greek letter has a name in all of them ("pi"), and Latin
capitals are read as letters ("IBM")."""

_LETTERS = frozenset({"LETTER", "SYLLABLE", "IDEOGRAPH", "CHARACTER", "LIGATURE"})
"""What Unicode calls letters; there are also signs and marks in the categories of letters."""

_WORD = re.compile(r"\S+")
_EDGES = "\"'()[]{}<>.,:;?!\u2026\u2013\u2014-"


def unreadable_words(text: str, language: str) -> Iterator[str]:
    """The words of a text that hold letters which eSpeak NG cannot read in a language, a code of its own."""
    # Most texts in most languages.
    if text.isascii() and language.partition("-")[0] not in _NOT_READ_IN["LATIN"]:
        return
    for found in _WORD.finditer(text):
        word = found[0].strip(_EDGES)
        scripts = {script for script in map(script_of, word) if script}
        if not all(_reads(language, script, word) for script in scripts):
            yield word


def _reads(language: str, script: str, word: str) -> bool:
    base = language.partition("-")[0]
    if script in _READ_EVERYWHERE:
        return True
    if script not in _NOT_READ_IN:
        return base in _READ_IN.get(script, "").split()
    if base not in _NOT_READ_IN[script].split():
        return True
    letters = "".join(filter(str.isalpha, word))
    return len(letters) == 1 or (script == "LATIN" and letters.isupper())


@functools.lru_cache(maxsize=4096)
def script_of(character: str) -> str | None:
    """The script of a letter, as Unicode's names begin with it: "LATIN"; None for what is not a letter."""
    if unicodedata.category(character) not in ("Lu", "Ll", "Lt", "Lo"):
        return None
    script, *rest = re.split("[ -]", unicodedata.name(character, ""))
    return script if _LETTERS.intersection(rest) else None
