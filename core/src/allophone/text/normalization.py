"""Text normalization: converts written text to text as it is read aloud.

A normalizer is any callable `str -> str`. `clean_text` is the default for every language; plugins register
normalizers for single languages through the hook `allophone_normalizers`.
"""

from __future__ import annotations

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


def clean_text(text: str) -> str:
    """Convert text to NFC with straight quotes and single spaces; remove control and format characters."""
    straight = unicodedata.normalize("NFC", text).translate(_STRAIGHT)
    visible = (character if _is_visible(character) else "" for character in straight)
    return " ".join("".join(visible).split())


def _is_visible(character: str) -> bool:
    # Some white space is in category Cc; `clean_text` collapses it later.
    kind = unicodedata.category(character)
    return kind not in ("Cc", "Cf", "Cs") or character.isspace() or character in _JOINERS
