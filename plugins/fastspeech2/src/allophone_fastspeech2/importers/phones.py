"""Symbols of the reference implementation, and the front end that produces them.

Its symbols are, in the order of their ids: padding, punctuation and letters, ARPAbet phones, pinyin initials and
finals (not in Amphion), and pauses. Training texts consist of phones of the Montreal Forced Aligner only, so
punctuation and letters are never trained; our tables leave them out and have a gap in their ids. All models have
one unused row.
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
"""Id of the first phone, after padding, punctuation and letters."""


def symbol_table(rows: int) -> SymbolTable:
    """Symbols of a model whose embedding has `rows` rows; UserError for unknown symbol sets."""
    for phones in ((*ARPABET, *PAUSES), (*ARPABET, *PINYIN, *PAUSES)):
        if rows == _FIRST + len(phones) + 1:
            return SymbolTable(ids={phone: id for id, phone in enumerate(phones, _FIRST)})
    raise UserError(
        f"The model has {rows} symbols; only the published symbol sets are supported (361, or 152 without "
        "pinyin).",
        hint="The checkpoint does not contain its symbols, so other sets cannot be imported.",
    )


def text_config(language: str) -> TextConfig:
    """Build the front end for "en" or "zh"; UserError for other languages.

    English is phonemized with eSpeak NG and mapped to CMUdict phones. Mandarin has to be written as pinyin in
    [[ ]]: "[[n i2 h ao3]]".
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
    raise UserError(
        f"Unsupported language '{language}': the reference supports English (en) and Mandarin (zh)."
    )


# Words have no boundaries. Punctuation between words is a pause; training texts never end with one.
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
    # Nasal vowels, and vowels before vowels and before r.
    "ɑ̃": "AA N", "ɔ̃": "AO N", "iə": "IY AH0", "əl": "AH L",
    "aɪɚ": "AY ER0", "aʊɚ": "AW ER0", "aʊɚɹ": "AW ER0",
    "ɪɹ": "IH R", "ɜːɹ": "ER", "ɚɹ": "ER",
}  # fmt: skip
"""eSpeak NG's en-us vowels; the first phone of each takes the stress."""

_FULL = frozenset({"æ", "iː", "ɛ", "ɔ", "ʊ", "aɪ"})
"""Vowels that eSpeak leaves unstressed mostly in short words ("and", "he"), which CMUdict stresses."""


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
    # Stress, length and palatalization marks without a phone.
    "ˈ": "", "ˌ": "", "ː": "", "ʲ": "",
}  # fmt: skip
