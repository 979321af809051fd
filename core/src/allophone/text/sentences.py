"""Sentence splitting, so that the first sentence can be spoken before the rest is synthesized.

The rules prefer too few splits: two sentences synthesized as one still sound right, but a sentence split
after "Mr." does not. They are language-independent, apart from a list of common abbreviations.
"""

from __future__ import annotations

import re

from allophone.text.frontend import RAW

_CLOSING = r"""["'\u2019\u201d\u00bb)\]]*"""
_END = re.compile(
    # In scripts without spaces, a full stop ends a sentence by itself.
    rf"[\u3002\uff01\uff1f\uff61]+{_CLOSING}"
    # Elsewhere it must be followed by white space. An empty line also ends a sentence.
    rf"|(?P<mark>[.?!\u2026\u061f\u06d4\u0964\u0589]+){_CLOSING}(?=\s)"
    r"|(?P<paragraph>\n\s*\n)"
    r"|(?P<line>\n)"
)
LONGEST_SENTENCE = 500
"""Characters of the longest sentence that is synthesized at once; attention takes memory by the square."""

_CUTS = (re.compile(r"(?<=[,;:\u2014\u060c\u3001])\s+|(?<=[\u3001\uff0c])"), re.compile(r"\s+"))
"""Where a longer sentence may be cut, best first: after a clause, and between words."""

_LIST_ITEM = re.compile(r"\s*(?:[-*\u2022\u2023\u25e6\u2013]|(?:\d{1,3}|[a-zA-Z])[.)])\s")
_LONGEST_TITLE = 60
_LAST_WORD = re.compile(r"[^\s\"'(\[\u201c\u2018\u00ab]*$")
_LONGEST_WORD = 30
_NEXT_CHARACTER = re.compile(r"\s*[\"'(\u201c\u2018\u00ab\u00a1\u00bf]*(.?)")
_INITIAL = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")

# Abbreviations whose period never ends a sentence: titles, and words that precede a name.
_TITLES = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "gen",
        "col",
        "maj",
        "capt",
        "lt",
        "sgt",
        "rev",
        "hon",
        "gov",
        "sen",
        "rep",
        "pres",
        "mt",
        "ft",
        "st",
        "vs",
        "mme",
        "mlle",
        "sra",
        "herr",
        "hr",
        "fr",
        "bzw",
        "ca",
    ]
)
# Abbreviations whose period does not end a sentence if a number follows.
_BEFORE_NUMBERS = frozenset(
    [
        "no",
        "nos",
        "nr",
        "p",
        "pp",
        "vol",
        "ch",
        "fig",
        "sec",
        "art",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
    ]
)


_ORDINALS = frozenset(
    [
        "bs",
        "cs",
        "da",
        "de",
        "et",
        "fi",
        "fo",
        "hr",
        "hu",
        "is",
        "lb",
        "lv",
        "nb",
        "nn",
        "no",
        "pl",
        "sk",
        "sl",
        "sr",
        "tr",
    ]
)
"""Languages that write an ordinal number with a period: "Am 3. Mai"."""


def split_sentences(text: str, language: str = "en") -> list[str]:
    """Split a text into stripped sentences, in order; empty if the text is blank.

    Titles (a short first line of a paragraph) and items of lists are sentences too. Only white space between
    sentences is dropped. Spans of raw phonemes, `[[ ]]`, are never split.
    """
    ordinals = language.partition("-")[0].lower() in _ORDINALS
    spans = [match.span() for match in RAW.finditer(text)]
    sentences = []
    start = 0
    for end in _END.finditer(text):
        inside = any(first < end.end() < last for first, last in spans)
        if not inside and _is_end(text, end, ordinals=ordinals):
            sentences.append(text[start : end.end()])
            start = end.end()
    sentences.append(text[start:])
    return [sentence.strip() for sentence in sentences if sentence.strip()]


def cut_long(sentence: str) -> list[str]:
    """Cut a sentence of more than `LONGEST_SENTENCE` characters into stripped pieces that are not longer.

    Cuts after clauses, else between words, else inside of a word; never inside of raw phonemes, so a longer
    span of them stays whole.
    """
    pieces = []
    while len(sentence) > LONGEST_SENTENCE:
        end = _best_cut(sentence)
        pieces.append(sentence[:end].strip())
        sentence = sentence[end:].strip()
    return [*pieces, sentence] if sentence else pieces


def _best_cut(sentence: str) -> int:
    """Where to cut a long sentence: an index greater than 0."""
    spans = [match.span() for match in RAW.finditer(sentence)]

    def allowed(index: int) -> bool:
        return index > 0 and not any(first < index < last for first, last in spans)

    for cut in _CUTS:
        # A clause of a few words is no better a piece than a few words of a clause.
        found = cut.finditer(sentence, LONGEST_SENTENCE // 2, LONGEST_SENTENCE + 1)
        if ends := [match.start() for match in found if allowed(match.start())]:
            return ends[-1]
    return next(index for index in range(LONGEST_SENTENCE, len(sentence) + 1) if allowed(index))


def _is_end(text: str, end: re.Match[str], *, ordinals: bool) -> bool:
    mark = end["mark"]
    if end["line"]:
        return _is_end_of_line(text, end.start())
    if mark is None:
        return True
    following = _NEXT_CHARACTER.match(text, end.end())
    after = following[1] if following else ""
    if after.islower():
        return False
    if mark != ".":
        return True
    last = _LAST_WORD.search(text, max(0, end.start() - _LONGEST_WORD), end.start())
    before = last[0].lower() if last else ""
    if before in _TITLES or (before in _BEFORE_NUMBERS and after.isdigit()):
        return False
    # "3. Mai" in some languages, and "3. Milk" at the start of a line in all.
    if before.isdigit() and len(before) <= 3 and (ordinals or _is_first(text, end.start(), before)):
        return False
    # No split: "J. R. R. Tolkien", "z. B. Berlin", "the U.S. Army". Split: "So do I. Then", "6 p.m. Then".
    return _INITIAL.fullmatch(before) is None or before in ("i", "a.m", "p.m")


def _is_first(text: str, end: int, word: str) -> bool:
    """Whether a line begins with the word that ends at `end`."""
    return not text[text.rfind("\n", 0, end) + 1 : end - len(word)].strip()


def _is_end_of_line(text: str, end: int) -> bool:
    """Whether the line break at `end` ends a title or an item of a list, or precedes an item."""
    # A title is short, an item is known by how it begins: so nothing more of a long line is looked at.
    following = text[end + 1 : end + 1 + _LONGEST_TITLE]
    if _LIST_ITEM.match(following):
        return True
    after = _NEXT_CHARACTER.match(following)
    if after is None or not after[1] or after[1].islower():
        return False
    start = text.rfind("\n", 0, end) + 1
    line = text[start:end].strip()
    if _LIST_ITEM.match(text[start : start + _LONGEST_TITLE]):
        return True
    is_first = not text[text.rfind("\n", 0, max(0, start - 1)) + 1 : start].strip()
    return is_first and len(line) <= _LONGEST_TITLE and line[-1:].isalnum()
