"""`SymbolTable`: the symbols of a model, and how symbol sequences are encoded as input ids.

The table is saved with every model, so that training and synthesis use the same one.
This module is light: it imports only the standard library and attrs.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from attrs import field, frozen

from allophone.errors import UserError
from allophone.files.parsing import parse_json

BLANK = "_"
"""The default blank symbol, inserted between other symbols."""
BOS = "^"
"""The default begin-of-utterance symbol."""
EOS = "$"
"""The default end-of-utterance symbol."""


def is_sound(symbol: str) -> bool:
    """Whether a symbol stands for a sound: it has a letter that is no mere modifier, such as marks of stress or length."""
    kinds = (unicodedata.category(letter) for letter in symbol)
    return any(kind.startswith("L") and kind != "Lm" for kind in kinds)


def _read_only(ids: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType(dict(ids))


@frozen(kw_only=True)
class SymbolTable:
    """Symbols and their ids. Ids are unique but need not be contiguous.

    All model families use the same encoding::

        [bos]  [blank]  (symbol [blank])*  [eos]

    where each bracketed part is present if the table has that symbol. With only a blank, N symbols give
    2N + 1 ids (VITS); with all three, `^ _ p1 _ p2 _ $` (Piper); with none, N ids.
    """

    ids: Mapping[str, int] = field(converter=_read_only)
    """Maps each symbol to its id, including the special symbols."""
    blank: str | None = None
    """The symbol inserted before, between and after the others, or None."""
    bos: str | None = None
    """The begin-of-utterance symbol, or None."""
    eos: str | None = None
    """The end-of-utterance symbol, or None."""

    def __attrs_post_init__(self) -> None:
        for role, symbol in (("blank", self.blank), ("bos", self.bos), ("eos", self.eos)):
            if symbol is not None and symbol not in self.ids:
                raise UserError(f"The symbol table has no id for its {role} symbol {symbol!r}")
        negative = [symbol for symbol, id in self.ids.items() if id < 0]
        if negative:
            raise UserError(f"The symbol table has negative ids for: {_listed(negative)}")
        shared = [id for id, count in Counter(self.ids.values()).items() if count > 1]
        if shared:
            same = [symbol for symbol, id in self.ids.items() if id == shared[0]]
            raise UserError(f"The symbol table has the same id {shared[0]} for: {_listed(same)}")

    @classmethod
    def from_symbols(
        cls,
        symbols: Iterable[str],
        *,
        blank: str | None = None,
        bos: str | None = None,
        eos: str | None = None,
    ) -> SymbolTable:
        """Build a table with contiguous ids: blank, bos, eos, then the symbols in code point order.

        The result does not depend on the order of `symbols`.
        """
        special = [symbol for symbol in (blank, bos, eos) if symbol is not None]
        ordered = special + sorted(set(symbols) - set(special))
        ids = {symbol: id for id, symbol in enumerate(ordered)}
        return cls(ids=ids, blank=blank, bos=bos, eos=eos)

    @property
    def size(self) -> int:
        """The number of rows an embedding of these ids needs: the highest id plus one."""
        return max(self.ids.values(), default=-1) + 1

    def missing(self, symbols: Iterable[str]) -> dict[str, int]:
        """Count the symbols that are not in the table, in order of appearance."""
        return dict(Counter(symbol for symbol in symbols if symbol not in self.ids))

    def encode(self, symbols: Sequence[str]) -> list[int]:
        """Encode symbols as ids, with the table's blank, bos and eos.

        Raises `UserError` that names every symbol not in the table.
        """
        opening = [] if self.bos is None else [self.ids[self.bos]]
        opening += [] if self.blank is None else [self.ids[self.blank]]
        closing = [] if self.eos is None else [self.ids[self.eos]]
        return [*opening, *self.encode_within(symbols), *closing]

    def encode_within(self, symbols: Sequence[str]) -> list[int]:
        """Encode symbols without bos, leading blank and eos: `(symbol [blank])*`.

        The result can be inserted after the first `opening_length` ids of an encoded utterance, to prepend
        these symbols to it. Raises `UserError` like `encode`.
        """
        missing = self.missing(symbols)
        if missing:
            raise UserError(
                f"The symbol table does not contain {_listed(missing)}",
                hint="The text was phonemized differently from the model's training data, or it contains "
                "characters that do not occur there.",
            )
        blank = [] if self.blank is None else [self.ids[self.blank]]
        return [id for symbol in symbols for id in (self.ids[symbol], *blank)]

    @property
    def opening_length(self) -> int:
        """The number of ids before the first symbol: bos and the leading blank."""
        return (self.bos is not None) + (self.blank is not None)

    def encoded_length(self, n_symbols: int) -> int:
        """The number of ids `encode` returns for `n_symbols` symbols."""
        boundaries = (self.bos is not None) + (self.eos is not None)
        return n_symbols + boundaries + (0 if self.blank is None else n_symbols + 1)

    def owners(self, n_symbols: int) -> list[int]:
        """Map each id of an encoded sequence of `n_symbols` to the index of its symbol.

        A blank belongs to the symbol before it, bos and the leading blank to the first symbol, and eos to
        the last. Empty for no symbols.
        """
        if n_symbols == 0:
            return []
        each = 1 if self.blank is None else 2
        owners = [0] * self.opening_length
        for index in range(n_symbols):
            owners += [index] * each
        return owners if self.eos is None else [*owners, n_symbols - 1]

    def fold_durations(self, durations: Sequence[int], n_symbols: int) -> list[int]:
        """Convert durations per id to durations per symbol.

        durations: frames of each id, as encoded by `encode`.

        Each duration is added to the symbol given by `owners`, so the sum is unchanged (except for no
        symbols, where the result is empty). Raises `UserError` if the number of durations is wrong.
        """
        if len(durations) != self.encoded_length(n_symbols):
            raise UserError(
                f"Expected {self.encoded_length(n_symbols)} durations, one for each id of {n_symbols} "
                f"symbols, but got {len(durations)}"
            )
        folded = [0] * n_symbols
        for id_index, owner in enumerate(self.owners(n_symbols)):
            folded[owner] += durations[id_index]
        return folded

    def to_json(self) -> str:
        """Serialize the table to JSON."""
        content = {
            "blank": self.blank,
            "bos": self.bos,
            "eos": self.eos,
            "ids": dict(sorted(self.ids.items(), key=lambda item: item[1])),
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SymbolTable:
        """Load a table written by `to_json`; `UserError` if the text is not one."""
        content = parse_json(text, "The symbol table")
        if not _is_table(content):
            raise UserError(
                "The symbol table must be a JSON object with 'ids' (symbol -> integer) and, "
                "if used, the symbols 'blank', 'bos' and 'eos'"
            )
        return cls(**content)


def _is_table(content: object) -> bool:
    if not isinstance(content, dict) or not content.keys() <= {"ids", "blank", "bos", "eos"}:
        return False
    ids = content.get("ids")
    return (
        isinstance(ids, dict)
        and all(type(id) is int for id in ids.values())
        and all(isinstance(content.get(role), str | None) for role in ("blank", "bos", "eos"))
    )


def _listed(symbols: Iterable[str] | Mapping[str, int]) -> str:
    counts = symbols if isinstance(symbols, Mapping) else dict.fromkeys(symbols, 1)
    return ", ".join(
        describe_symbol(symbol) + (f" {count} times" if count > 1 else "")
        for symbol, count in counts.items()
    )


def describe_symbol(symbol: str) -> str:
    """Format a symbol with its code point and Unicode name, since many symbols look alike or are invisible."""
    if len(symbol) != 1:
        return repr(symbol)
    name = unicodedata.name(symbol, "unnamed")
    shown = f"'\u25cc{symbol}'" if unicodedata.combining(symbol) else repr(symbol)
    return f"{shown} (U+{ord(symbol):04X} {name})"
