"""The symbols of the reference implementation, and how plain text is written in them.

Its symbols are, in the order of their ids: padding, marks and letters, the phones of ARPAbet (Amphion
goes on with the pauses), the initials and finals of pinyin, and the pauses. Its training texts are
phones of the Montreal Forced Aligner throughout, so marks and letters never reached a model, and are
not in our tables; ids have gaps there. All models have a row to spare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from allophone.errors import UserError
from allophone.registry import default_registry
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable

PAUSE = "sp"
PAUSES = (PAUSE, "spn", "sil")

_VOWELS = "AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW"
_CONSONANTS = "B CH D DH F G HH JH K L M N NG P R S SH T TH V W Y Z ZH"
_STRESSES = ("", "0", "1", "2")
_STRESSED = (vowel + stress for vowel in _VOWELS.split() for stress in _STRESSES)
ARPABET = tuple(sorted([*_CONSONANTS.split(), *_STRESSED]))

_INITIALS = "b c ch d f g h j k l m n p q r s sh t w x y z zh"
_FINALS = (
    "a ai an ang ao e ei en eng er i ia ian iang iao ie ii iii in ing iong iou o ong ou "
    "u ua uai uan uang uei uen uo v van ve vn"
)
_TONAL = (final + tone for final in _FINALS.split() for tone in "12345")
PINYIN = (*_INITIALS.split(), *_TONAL, "rr")

_FIRST = 1 + len("-!'(),.:;? ") + 2 * 26
"""The id of the first phone, after padding, marks and letters."""


def symbol_table(rows: int) -> SymbolTable:
    """The symbols of a model whose embedding has so many rows; UserError for other models."""
    for phones in ((*ARPABET, *PAUSES), (*ARPABET, *PINYIN, *PAUSES)):
        if rows == _FIRST + len(phones) + 1:
            return SymbolTable(ids={phone: id for id, phone in enumerate(phones, _FIRST)})
    raise UserError(
        f"The model has {rows} symbols, which are not those of the published implementations "
        "(361, or 152 without pinyin).",
        hint="What its own symbols are cannot be told from its files.",
    )


def text_config(language: str) -> TextConfig:
    """How texts of "en" or "zh" become symbols.

    English is what eSpeak NG says, by the phones of CMUdict. Pinyin has to be written by hand, inside
    [[ ]]: "[[n i2 h ao3]]". UserError for other languages.
    """
    if language == "en":
        return TextConfig(
            language="en-us",
            phonemizer=default_registry().load("phonemizers", "espeak", "config")(),
            phones={**_MARKS, **dict(_espeak_vowels()), **_ESPEAK_CONSONANTS},
            blank=False,
        )
    if language == "zh":
        return TextConfig(
            language="zh",
            normalize=False,
            phonemizer=GraphemeConfig(lowercase=False),
            phones={**_MARKS, "，": PAUSE, "。": "", "？": "", "！": ""},
            blank=False,
        )
    raise UserError(f"The reference speaks English (en) and Mandarin (zh), but no '{language}'.")


# Words are not divided. A mark between words is a pause; its training texts never end with one.
_MARKS: Mapping[str, str] = {
    " ": "",
    **dict.fromkeys(".,;:?!", ""),
    **{f"{mark} ": PAUSE for mark in ".,;:?!"},
}

_ESPEAK_VOWELS: Mapping[str, str] = {
    "ɑː": "AA", "ɑ": "AA", "ɒ": "AA", "aː": "AA", "æ": "AE", "a": "AE",
    "ʌ": "AH", "ɐ": "AH", "ə": "AH", "ɔː": "AO", "ɔ": "AO", "oː": "AO", "aʊ": "AW", "aɪ": "AY",
    "ɛː": "EH", "ɛ": "EH", "e": "EH", "ɜː": "ER", "ɜːː": "ER", "ɜ": "ER", "ɚ": "ER",
    "eɪ": "EY", "eː": "EY", "ɪ": "IH", "ᵻ": "IH", "iː": "IY", "i": "IY",
    "oʊ": "OW", "əʊ": "OW", "o": "OW", "ɔɪ": "OY",
    "ʊː": "UH", "ʊ": "UH", "uː": "UW", "u": "UW", "y": "UW",
    # Nasal ones, and those before others and before r.
    "ɑ̃": "AA N", "ɔ̃": "AO N", "iə": "IY AH0", "əl": "AH L",
    "aɪɚ": "AY ER0", "aʊɚ": "AW ER0", "aʊɚɹ": "AW ER0",
    "ɪɹ": "IH R", "ɜːɹ": "ER", "ɚɹ": "ER",
}  # fmt: skip
"""What eSpeak NG writes for en-us; the first phone of each takes the stress."""

_FULL = frozenset({"æ", "iː", "ɛ", "ɔ", "ʊ", "aɪ"})
"""Vowels that are left unmarked mostly in short words ("and", "he"), to which CMUdict gives a stress."""


def _espeak_vowels() -> Iterator[tuple[str, str]]:
    for written, phones in _ESPEAK_VOWELS.items():
        first, *rest = phones.split()
        unmarked = "1" if written in _FULL else "0"
        for mark, digit in (("", unmarked), ("ˈ", "1"), ("ˌ", "2")):
            yield mark + written, " ".join([first + digit, *rest])


_ESPEAK_CONSONANTS: Mapping[str, str] = {
    "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G",
    "f": "F", "v": "V", "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH", "ʒ": "ZH", "h": "HH",
    "tʃ": "CH", "dʒ": "JH", "m": "M", "n": "N", "ŋ": "NG", "l": "L", "ɹ": "R", "r": "R",
    "j": "Y", "w": "W", "ʍ": "W", "x": "K", "ɾ": "T", "ʔ": "T", "ɬ": "L", "ɫ": "L", "ç": "HH",
    "n̩": "AH0 N", "m̩": "AH0 M", "ɲ": "N Y", "ɹɹ": "R",
    # Marks of what has no phone of its own.
    "ˈ": "", "ˌ": "", "ː": "", "ʲ": "",
}  # fmt: skip
