"""`PhoneMap`: from what a phonemizer writes to the phones of a corpus.

The labels of a corpus and of aligners name phones in their own way ("OW1", "tt"), and a model that was
trained on them knows no other symbols. A table says what each stretch of the phonemizer's symbols is
called there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from allophone.errors import UserError
from allophone.text.symbols import described


class PhoneMap:
    """Looks up stretches of symbols, the longest first.

    phones: what a stretch is called: names of phones, separated by spaces, or nothing where it is left
        out.
    """

    def __init__(self, phones: Mapping[str, str]) -> None:
        self._names = {
            unicodedata.normalize("NFD", key): tuple(value.split()) for key, value in phones.items()
        }
        longest_first = sorted(self._names, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first)))

    def names(self, symbols: str) -> list[str]:
        """The phones that symbols stand for; UserError naming the first that the table does not know.

        What the spelling of Unicode alone tells apart is the same here.
        """
        spelled = unicodedata.normalize("NFD", symbols)
        names: list[str] = []
        position = 0
        while position < len(spelled):
            known = self._known.match(spelled, position)
            if known is None:
                raise UserError(
                    f"[text.phones] has no entry for {described(spelled[position])}, as in "
                    f"'{_word_at(spelled, position)}'.",
                    hint='Add one; "" leaves it out.',
                )
            names += self._names[known[0]]
            position = known.end()
        return names


def _word_at(spelled: str, position: int) -> str:
    before, after = spelled[:position].split(" ")[-1], spelled[position:].split(" ")[0]
    return before + after
