"""The symbols of the reference's text, and how we write a text in them."""

from __future__ import annotations

from pathlib import Path

from allophone.errors import UserError
from allophone.foreign import amphion
from allophone.registry import default_registry
from allophone.text.config import TextConfig
from allophone.text.symbols import SymbolTable

_BETWEEN_WORDS = "_"


def read_symbols(path: Path) -> SymbolTable:
    """The table of `unique_text_tokens.k2symbols` or `symbols.dict`.

    Raises UserError where it is no such file, or of another alphabet than eSpeak's.
    """
    table = amphion.read_symbols(path)
    if any(symbol[-1].isdigit() for symbol in table.ids):
        raise UserError(
            f"{path} has symbols with tones, such as pinyin's: only models that read what eSpeak writes "
            "have a counterpart here."
        )
    return table


def text_config(table: SymbolTable) -> TextConfig:
    """How English is read in a table's symbols.

    They are eSpeak's phones, of one character or more, so the longest that fits is taken; words have a
    symbol between them, and nothing is stressed.
    """
    phones = {symbol: symbol for symbol in table.ids if symbol not in amphion.SPECIAL_SYMBOLS}
    espeak = default_registry().load("phonemizers", "espeak", "config")
    return TextConfig(
        language="en-us",
        phonemizer=espeak(stress=False),
        phones={**phones, " ": _BETWEEN_WORDS if _BETWEEN_WORDS in phones else ""},
        blank=False,
        boundaries=True,
    )
