"""Printing of what stands out in a corpus, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.table import Table
from rich.text import Text

from allophone.cli.console import console
from allophone.preparation.review import (
    CLIPPING,
    NOISE,
    RARE,
    RATE,
    SILENCE,
    TEXT,
    Finding,
    RareSymbol,
    Review,
)

_SHOWN = 5
"""Utterances named for each check; the file names all."""

_ADVICE = {
    CLIPPING: "It was recorded too loud, or amplified: use the original, or record it again.",
    NOISE: "The model learns the noise too: record it again, or clean it.",
    SILENCE: "Set data.trim_db, such as 40.",
    RATE: "Compare text and recording.",
    TEXT: "Listen whether the recording says its text.",
}
_OTHER_ADVICE = "Listen to these."


def show_review(review: Review) -> None:
    """Print the findings by check, the rare symbols, and what could not be checked."""
    if review.findings:
        console.print("used, but they stand out; to leave some out, name them in data.exclude:")
        table = Table("check", "id", "found")
        for check, found in groupby(review.findings, key=lambda one: one.check):
            _add_rows(table, check, list(found))
        console.print(table)
    if review.rare_symbols:
        console.print(_rare(review.rare_symbols), markup=False, soft_wrap=True)
    for why in dict.fromkeys(review.unchecked.values()):
        checks = ", ".join(check for check, its in review.unchecked.items() if its == why)
        console.print(f"not checked: {checks}; {why}", markup=False, soft_wrap=True)
    if review.findings or review.rare_symbols:
        console.print(f"all of this is in {review.file}", markup=False, soft_wrap=True)
    else:
        console.print("nothing stands out", markup=False)


def _add_rows(table: Table, check: str, found: Sequence[Finding]) -> None:
    table.add_section()
    for place, one in enumerate(found[:_SHOWN]):
        # Text and not a string: what comes from a corpus may look like markup.
        heading = f"{check} ({len(found):,})" if place == 0 else ""
        table.add_row(heading, Text(one.id), Text(one.detail))
    table.add_row("", "", Text(_ADVICE.get(check, _OTHER_ADVICE), style="italic"))


def _rare(symbols: Sequence[RareSymbol]) -> str:
    named = ", ".join(f"{one.symbol} {one.count} (as in {one.example})" for one in symbols)
    return f"fewer than {RARE} times in the training split: {named}. Record sentences with them."
