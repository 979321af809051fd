"""`SymbolTable`: which symbols a model knows, and how a sequence of them becomes its input ids.

A table is saved with every model, so that training and synthesis cannot disagree about it.
This module is light: it imports the standard library and attrs alone.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from attrs import field, frozen

from allophone.errors import UserError

BLANK = "_"
"""The usual blank, which stands between two symbols."""
BOS = "^"
"""The usual mark of an utterance's beginning."""
EOS = "$"
"""The usual mark of an utterance's end."""


def _read_only(ids: Mapping[str, int]) -> Mapping[str, int]:
    return MappingProxyType(dict(ids))


@frozen(kw_only=True)
class SymbolTable:
    """Symbols and their ids, which are distinct but need not be dense.

    One rule encodes for every family of models::

        [bos]  [blank]  (symbol [blank])*  [eos]

    where each bracketed part is there if the table names such a symbol. With a blank alone, N
    symbols give 2N + 1 ids (VITS); with all three, `^ _ p1 _ p2 _ $` (Piper); with none, N ids.
    """

    ids: Mapping[str, int] = field(converter=_read_only)
    """Symbol -> id, the special symbols included."""
    blank: str | None = None
    """The symbol put around every other one, or None."""
    bos: str | None = None
    """The symbol that begins an utterance, or None."""
    eos: str | None = None
    """The symbol that ends an utterance, or None."""

    def __attrs_post_init__(self) -> None:
        for role, symbol in (("blank", self.blank), ("bos", self.bos), ("eos", self.eos)):
            if symbol is not None and symbol not in self.ids:
                raise UserError(f"The symbol table has no id for its {role} symbol {symbol!r}")
        negative = [symbol for symbol, id in self.ids.items() if id < 0]
        if negative:
            raise UserError(f"The symbol table gives negative ids to: {_listed(negative)}")
        shared = [id for id, count in Counter(self.ids.values()).items() if count > 1]
        if shared:
            same = [symbol for symbol, id in self.ids.items() if id == shared[0]]
            raise UserError(f"The symbol table gives id {shared[0]} to: {_listed(same)}")

    @classmethod
    def from_symbols(
        cls,
        symbols: Iterable[str],
        *,
        blank: str | None = None,
        bos: str | None = None,
        eos: str | None = None,
    ) -> SymbolTable:
        """A dense table: blank, bos and eos first, then the distinct symbols in code point order.

        The same symbols in any order give the same table.
        """
        special = [symbol for symbol in (blank, bos, eos) if symbol is not None]
        ordered = special + sorted(set(symbols) - set(special))
        ids = {symbol: id for id, symbol in enumerate(ordered)}
        return cls(ids=ids, blank=blank, bos=bos, eos=eos)

    @property
    def size(self) -> int:
        """Rows that an embedding of these ids needs: the highest id plus one."""
        return max(self.ids.values(), default=-1) + 1

    def missing(self, symbols: Iterable[str]) -> dict[str, int]:
        """The symbols that the table lacks, with how often each occurs, in order of appearance."""
        return dict(Counter(symbol for symbol in symbols if symbol not in self.ids))

    def encode(self, symbols: Sequence[str]) -> list[int]:
        """The ids of `symbols`, with blanks, beginning and end as the table asks for.

        Raises `UserError`, naming every missing symbol, where the table lacks one.
        """
        opening = [] if self.bos is None else [self.ids[self.bos]]
        opening += [] if self.blank is None else [self.ids[self.blank]]
        closing = [] if self.eos is None else [self.ids[self.eos]]
        return [*opening, *self.encode_within(symbols), *closing]

    def encode_within(self, symbols: Sequence[str]) -> list[int]:
        """As `encode`, for symbols that come before others in one utterance: `(symbol [blank])*`.

        They are put in after the first `opening_length` ids of what `encode` makes of the others.
        """
        missing = self.missing(symbols)
        if missing:
            raise UserError(
                f"The symbol table lacks {_listed(missing)}",
                hint="The text is phonemized otherwise than the model's training text was, or "
                "holds characters that never occurred there.",
            )
        blank = [] if self.blank is None else [self.ids[self.blank]]
        return [id for symbol in symbols for id in (self.ids[symbol], *blank)]

    @property
    def opening_length(self) -> int:
        """How many ids come before that of the first symbol."""
        return (self.bos is not None) + (self.blank is not None)

    def encoded_length(self, n_symbols: int) -> int:
        """How many ids `encode` makes of `n_symbols`."""
        boundaries = (self.bos is not None) + (self.eos is not None)
        return n_symbols + boundaries + (0 if self.blank is None else n_symbols + 1)

    def owners(self, n_symbols: int) -> list[int]:
        """For each id that `encode` makes of `n_symbols`, the index of the symbol it belongs to.

        A blank belongs to the symbol before it; what comes before the first symbol (bos, blank)
        belongs to the first, and eos to the last. Empty without symbols.
        """
        if n_symbols == 0:
            return []
        each = 1 if self.blank is None else 2
        owners = [0] * self.opening_length
        for index in range(n_symbols):
            owners += [index] * each
        return owners if self.eos is None else [*owners, n_symbols - 1]

    def fold_durations(self, durations: Sequence[int], n_symbols: int) -> list[int]:
        """Durations of ids -> durations of the `n_symbols` that were encoded.

        `durations` has one entry, in frames, for each id of `encode`; each is added to the symbol
        that `owners` names, so the sum stays the same (but for no symbols, which have none).
        """
        if len(durations) != self.encoded_length(n_symbols):
            raise UserError(
                f"{n_symbols} symbols have {self.encoded_length(n_symbols)} ids in this symbol "
                f"table, but {len(durations)} durations were given"
            )
        folded = [0] * n_symbols
        for id_index, owner in enumerate(self.owners(n_symbols)):
            folded[owner] += durations[id_index]
        return folded

    def to_json(self) -> str:
        """The table as a JSON object, which `from_json` reads back equal."""
        content = {
            "blank": self.blank,
            "bos": self.bos,
            "eos": self.eos,
            "ids": dict(sorted(self.ids.items(), key=lambda item: item[1])),
        }
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> SymbolTable:
        """The table that `to_json` wrote; `UserError` where the text is not one."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"The symbol table is not valid JSON: {error}") from error
        if not _is_table(content):
            raise UserError(
                "The symbol table must be a JSON object of 'ids' (symbol -> whole number) and, "
                "where used, the symbols 'blank', 'bos' and 'eos'"
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
        described(symbol) + (f" {count} times" if count > 1 else "")
        for symbol, count in counts.items()
    )


def described(symbol: str) -> str:
    """The symbol with its code point and Unicode name: many look alike, or cannot be seen alone."""
    if len(symbol) != 1:
        return repr(symbol)
    name = unicodedata.name(symbol, "unnamed")
    shown = f"'\u25cc{symbol}'" if unicodedata.combining(symbol) else repr(symbol)
    return f"{shown} (U+{ord(symbol):04X} {name})"
