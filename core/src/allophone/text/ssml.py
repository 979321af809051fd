"""A small part of SSML 1.1 (W3C, 2010), for texts that begin with `<speak>`.

    <speak>It costs <say-as interpret-as="characters">USD</say-as> 5. <break time="400ms"/>
    <prosody rate="80%">Slowly: <phoneme ph="təˈmeɪtoʊ">tomato</phoneme>.</prosody></speak>

| element | what it does |
|---|---|
| `<p>`, `<s>` | end a sentence |
| `<break time="400ms">`, `<break strength="strong">` | a silence, in place of the usual pause |
| `<phoneme ph="...">` | phonemes in place of the words in it, as `[[...]]` |
| `<sub alias="...">` | the alias in place of the words in it |
| `<say-as interpret-as="...">` | `characters`, `spell-out`, `verbatim`, `digits` spell; `cardinal`, `date`, `time`, `telephone`, `currency` leave it to the normalizer |
| `<lang xml:lang="fr">` | another language, as `[[lang:fr|...]]` |
| `<prosody rate="...">` | `80%`, `x-slow`, `slow`, `medium`, `fast`, `x-fast`; ends the sentence on both sides |

Everything else is refused by name, rather than read aloud or ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from allophone.errors import UserError, near_miss

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_STRENGTHS = {
    "none": 0.0,
    "x-weak": 0.1,
    "weak": 0.2,
    "medium": 0.4,
    "strong": 0.8,
    "x-strong": 1.2,
}
"""Seconds of each strength of a break; the recommendation leaves them open."""
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.5}
_SPELLED = ("characters", "spell-out", "verbatim", "digits")
_NORMALIZED = ("cardinal", "date", "time", "telephone", "currency")
ELEMENTS = {
    "speak": ("version", "lang"),
    "p": (),
    "s": (),
    "break": ("time", "strength"),
    "phoneme": ("ph", "alphabet"),
    "sub": ("alias",),
    "say-as": ("interpret-as", "format"),
    "lang": ("lang",),
    "prosody": ("rate",),
}
"""The supported elements, with their attributes."""
_LONGEST_BREAK = 60.0
_SLOWEST, _FASTEST = 0.2, 5.0


@frozen(kw_only=True)
class Passage:
    """A stretch of text that is spoken at one rate.

    pause: seconds of silence before it; None for the usual pause between sentences.
    rate: how fast it is spoken; 2.0 is twice as fast.
    """

    text: str
    pause: float | None = None
    rate: float = 1.0


def passages(text: str) -> list[Passage]:
    """Split a text that begins with `<speak>` by its markup; any other text is one passage.

    Passages without text are left out: a break at the very end adds nothing.
    Raises UserError for XML that is not well-formed, and for what is not supported, by name.
    """
    if not text.lstrip().startswith("<speak"):
        return [Passage(text=text)]
    from xml.etree import ElementTree

    if "<!" in text.replace("<!--", ""):
        raise UserError("SSML with a document type or entities is not supported.")
    try:
        root = ElementTree.fromstring(text.strip())
    except ElementTree.ParseError as error:
        raise UserError(
            f"The SSML is not well-formed: {error}.",
            hint="Write & as &amp; and < as &lt;, and close every element.",
        ) from error
    reader = _Reader()
    reader.read(root)
    return reader.finish()


class _Reader:
    """Walks through the elements of a document, gathering its passages."""

    def __init__(self) -> None:
        self._found: list[Passage] = []
        self._text = ""
        self._pause: float | None = None
        self._rate = 1.0

    def finish(self) -> list[Passage]:
        self._end_passage()
        return self._found

    def read(self, element: Element) -> None:
        """Read an element with all that it holds."""
        name = element.tag.rpartition("}")[2]
        given = _attributes(element, name)
        match name:
            case "break":
                self._end_passage()
                self._pause = (self._pause or 0.0) + _silence(given)
            case "phoneme":
                self._text += f"[[{_phonemes(given)}]]"
            case "sub":
                self._text += _required(given, "alias", name)
            case "say-as":
                self._text += _spelled("".join(element.itertext()), given)
            case "lang":
                words = "".join(element.itertext()).strip()
                self._text += f"[[lang:{_required(given, 'lang', name)}|{words}]]"
            case "prosody":
                before = self._rate
                self._end_passage()
                self._rate *= _rate(_required(given, "rate", name))
                self._read_content(element)
                self._end_passage()
                self._rate = before
            case "p" | "s":
                self._end_passage()
                self._read_content(element)
                self._end_passage()
            case _:
                self._read_content(element)

    def _read_content(self, element: Element) -> None:
        self._text += element.text or ""
        for child in element:
            self.read(child)
            self._text += child.tail or ""

    def _end_passage(self) -> None:
        if self._text.strip():
            if not _SLOWEST <= self._rate <= _FASTEST:
                raise UserError(
                    f"SSML: the rate {self._rate:.0%} is not supported.",
                    hint=f"Give one from {_SLOWEST:.0%} to {_FASTEST:.0%}.",
                )
            self._found.append(Passage(text=self._text, pause=self._pause, rate=self._rate))
            self._pause = None
        self._text = ""


def _attributes(element: Element, name: str) -> Mapping[str, str]:
    """The attributes of an element; UserError for one that is not supported, or an element that is not."""
    if name not in ELEMENTS:
        raise UserError(
            f"SSML: the element <{name}> is not supported.",
            hint=f"Supported are: {', '.join(f'<{one}>' for one in ELEMENTS)}.",
        )
    given = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    # Where its schema lies.
    given.pop("schemaLocation", None)
    for key in given:
        if key not in ELEMENTS[name]:
            raise UserError(
                f"SSML: the attribute '{key}' of <{name}> is not supported.",
                hint=near_miss(key, ELEMENTS[name]),
            )
    return given


def _required(given: Mapping[str, str], key: str, name: str) -> str:
    if not given.get(key, "").strip():
        raise UserError(f"SSML: <{name}> needs the attribute '{key}'.")
    return given[key].strip()


def _silence(given: Mapping[str, str]) -> float:
    """The seconds of a break."""
    strength = given.get("strength", "medium")
    if strength not in _STRENGTHS:
        raise UserError(
            f"SSML: the strength '{strength}' of a break is not known.",
            hint=near_miss(strength, _STRENGTHS),
        )
    if "time" not in given:
        return _STRENGTHS[strength]
    found = re.fullmatch(r"\+?(\d*\.?\d+)(ms|s)", given["time"].strip())
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1) if found else -1.0
    if not 0 <= seconds <= _LONGEST_BREAK:
        raise UserError(
            f"SSML: the time '{given['time']}' of a break is not valid.",
            hint=f'Write it as "500ms" or "1.5s"; at most {_LONGEST_BREAK:.0f} s.',
        )
    return seconds


def _phonemes(given: Mapping[str, str]) -> str:
    alphabet = given.get("alphabet", "ipa")
    if alphabet != "ipa":
        raise UserError(
            f"SSML: the alphabet '{alphabet}' of <phoneme> is not supported, only 'ipa'."
        )
    phonemes = _required(given, "ph", "phoneme")
    if "[[" in phonemes or "]]" in phonemes:
        raise UserError(f"SSML: the phonemes '{phonemes}' contain double brackets.")
    return phonemes


def _spelled(words: str, given: Mapping[str, str]) -> str:
    kind = _required(given, "interpret-as", "say-as")
    if kind in _NORMALIZED:
        return words
    if kind not in _SPELLED:
        raise UserError(
            f"SSML: <say-as> cannot interpret as '{kind}'.",
            hint=near_miss(kind, (*_SPELLED, *_NORMALIZED)),
        )
    # A capital is read as a letter, where "a" would be read as a word.
    return " ".join(_characters(words))


def _characters(words: str) -> Iterator[str]:
    return (character.upper() for character in words if not character.isspace())


def _rate(written: str) -> float:
    if written in _RATES:
        return _RATES[written]
    found = re.fullmatch(r"([+-]?)(\d+(?:\.\d+)?)%", written)
    if found:
        share = float(found[2]) / 100
        return {"": share, "+": 1 + share, "-": 1 - share}[found[1]]
    raise UserError(
        f"SSML: the rate '{written}' is not valid.",
        hint=f'Write it as "80%", or as one of {", ".join(_RATES)}.',
    )
