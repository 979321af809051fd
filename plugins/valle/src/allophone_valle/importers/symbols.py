"""The symbols of the reference's text, and how we write a text in them."""

from __future__ import annotations

from pathlib import Path

from allophone.errors import UserError
from allophone.text.config import EspeakConfig, TextConfig
from allophone.text.symbols import SymbolTable

_PADDING, _BEGIN, _END = "<pad>", "<bos>", "<eos>"
_NOTHING = "<eps>"
_BETWEEN_WORDS = "_"


def read_symbols(path: Path) -> SymbolTable:
    """The table of a file of lines `symbol number`, as `unique_text_tokens.k2symbols` and `symbols.dict`.

    The numbers in it are not the ids: those are given to the symbols in the order of their code points.
    Raises UserError where it is no such file, or of another alphabet than eSpeak's.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The symbols {path} cannot be read: {error}") from error
    symbols = {_NOTHING} | {fields[0] for fields in lines if fields}
    if any(len(fields) not in (0, 2) for fields in lines) or len(symbols) < 2:
        raise UserError(f"{path} is no list of symbols, with lines of a symbol and its number.")
    if any(symbol[-1].isdigit() for symbol in symbols):
        raise UserError(
            f"{path} has symbols with tones, such as pinyin's: only models that read what eSpeak writes "
            "have a counterpart here."
        )
    ordered = [_PADDING, _BEGIN, _END, *sorted(symbols)]
    return SymbolTable(ids={symbol: id for id, symbol in enumerate(ordered)}, bos=_BEGIN, eos=_END)


def text_config(table: SymbolTable) -> TextConfig:
    """How English is read in a table's symbols.

    They are eSpeak's phones, of one character or more, so the longest that fits is taken; words have a
    symbol between them, and nothing is stressed.
    """
    special = {_PADDING, _BEGIN, _END, _NOTHING}
    phones = {symbol: symbol for symbol in table.ids if symbol not in special}
    return TextConfig(
        language="en-us",
        phonemizer=EspeakConfig(stress=False),
        phones={**phones, " ": _BETWEEN_WORDS if _BETWEEN_WORDS in phones else ""},
        blank=False,
        boundaries=True,
    )
