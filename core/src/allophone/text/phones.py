"""`PhoneMap`: maps a phonemizer's symbols to the phone set of a corpus.

Label files use their own phone sets ("OW1", "tt"), and a model trained on them knows no other symbols. The table
`[text.phones]` maps sequences of the phonemizer's symbols to these phones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from allophone.errors import UserError
from allophone.text.symbols import describe_symbol


class PhoneMap:
    """Maps sequences of symbols to phones; the longest match wins.

    phones: maps each sequence of symbols to phone names separated by spaces, or to "" to drop it.
    """

    def __init__(self, phones: Mapping[str, str]) -> None:
        self._names = {
            unicodedata.normalize("NFD", key): tuple(value.split()) for key, value in phones.items()
        }
        longest_first = sorted(self._names, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first)))

    def names(self, symbols: str) -> list[str]:
        """Convert symbols to phones; UserError that names the first symbol without an entry.

        Canonically equivalent Unicode sequences are treated as equal.
        """
        spelled = unicodedata.normalize("NFD", symbols)
        names: list[str] = []
        position = 0
        while position < len(spelled):
            known = self._known.match(spelled, position)
            if known is None:
                raise UserError(
                    f"[text.phones] has no entry for {describe_symbol(spelled[position])}, as in "
                    f"'{_word_at(spelled, position)}'.",
                    hint='Add one; "" drops the symbol.',
                )
            names += self._names[known[0]]
            position = known.end()
        return names


def _word_at(spelled: str, position: int) -> str:
    before, after = spelled[:position].split(" ")[-1], spelled[position:].split(" ")[0]
    return before + after
