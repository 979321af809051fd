"""The reference's symbol table, and the front end that produces its symbols."""

from __future__ import annotations

from pathlib import Path

from allophone.errors import UserError
from allophone.foreign import amphion
from allophone.registry import default_registry
from allophone.text.config import TextConfig
from allophone.text.symbols import SymbolTable

_BETWEEN_WORDS = "_"


def read_symbols(path: Path) -> SymbolTable:
    """Read `unique_text_tokens.k2symbols` or `symbols.dict`.

    Raises UserError if the file is invalid or its symbols are not eSpeak phones.
    """
    table = amphion.read_symbols(path)
    if any(symbol[-1].isdigit() for symbol in table.ids):
        raise UserError(
            f"{path} contains symbols with tones, such as pinyin; only models trained on eSpeak phones "
            "are supported."
        )
    return table


def text_config(table: SymbolTable) -> TextConfig:
    """Build the front end for English text.

    The symbols are eSpeak phones of one or more characters, matched longest first, without stress; a
    symbol separates words.
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
