"""What a model's embeddings stand for: its symbols, speakers and languages.

Light. A vocabulary is fixed when a run starts, is saved in every checkpoint and voice, and never
derived again, so that ids mean the same in training and in synthesis.
"""

from __future__ import annotations

from attrs import frozen

from allophone.errors import UserError, near_miss
from allophone.text.symbols import SymbolTable


@frozen(kw_only=True)
class Vocabulary:
    """symbols: the table of the text's symbols; speakers, languages: names in the order of their ids."""

    symbols: SymbolTable
    speakers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def speaker_id(self, name: str | None) -> int:
        """The id of a speaker; the first one where no name is given. UserError names the near misses."""
        return _position("speaker", name, self.speakers)

    def language_id(self, name: str | None) -> int:
        """The id of a language; the first one where no name is given. UserError names the near misses."""
        return _position("language", name, self.languages)


def _position(kind: str, name: str | None, names: tuple[str, ...]) -> int:
    if name is None or (not names and name is None):
        return 0
    if name not in names:
        known = near_miss(name, names) or f"It knows only one {kind}, without a name."
        raise UserError(f"There is no {kind} '{name}' here.", hint=known)
    return names.index(name)
