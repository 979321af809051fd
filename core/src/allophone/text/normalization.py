"""Text normalization: converts written text to text as it is read aloud.

A normalizer is any callable `str -> str`. `clean_text` is the default for every language; plugins register
normalizers for single languages through the hook `allophone_normalizers`.
"""

from __future__ import annotations

import re
import unicodedata

_STRAIGHT = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u201b": "'",
        "\u02bc": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u201f": '"',
        "\u00ab": '"',
        "\u00bb": '"',
        "\u2032": "'",
        "\u2033": '"',
        "\u2010": "-",
        "\u2011": "-",
        "\u2212": "-",
    }
)
# Persian and the scripts of India spell with these two format characters.
_JOINERS = "\u200c\u200d"


_PLAIN_FORMS = ("<font>", "<wide>", "<narrow>", "<circle>")
"""Tags of Unicode's decompositions whose characters are read as what they decompose to: 𝐀, Ａ, ①."""
_MODIFIERS = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
"""Variation selectors and skin tones: what they modify is read the same without them."""


def clean_text(text: str) -> str:
    """Convert text to NFC with straight quotes and single spaces.

    Full-width, mathematical and encircled letters become plain ones; control and format characters, variation
    selectors and skin tones are removed.
    """
    straight = unicodedata.normalize("NFC", _MODIFIERS.sub("", text)).translate(_STRAIGHT)
    plain = straight if straight.isascii() else "".join(map(_plain, straight))
    visible = (character if _is_visible(character) else "" for character in plain)
    return " ".join("".join(visible).split())


def _plain(character: str) -> str:
    if unicodedata.decomposition(character).startswith(_PLAIN_FORMS):
        return unicodedata.normalize("NFKC", character)
    return character


def _is_visible(character: str) -> bool:
    # Some white space is in category Cc; `clean_text` collapses it later.
    kind = unicodedata.category(character)
    return kind not in ("Cc", "Cf", "Cs") or character.isspace() or character in _JOINERS
