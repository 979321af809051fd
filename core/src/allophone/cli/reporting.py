"""Reporting of dropped and failed utterances."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from allophone.cli.console import console, status
from allophone.data.manifest import Dropped, Remark
from allophone.synthesis.ledger import FAILED, Failure


def show_dropped(
    dropped: Mapping[str, Dropped | Remark], report: Path, *, what: str = "left out"
) -> None:
    """Print the number of utterances per reason, with an example of each.

    report: the file that lists all of them. what: what became of them.
    """
    if not dropped:
        return
    console.print(f"{what} (all are listed in {report}):", soft_wrap=True, markup=False)
    table = Table()
    table.add_column("reason")
    table.add_column("utterances", justify="right")
    table.add_column("for example")
    reasons = Counter(why.reason for why in dropped.values())
    for reason, count in reasons.most_common():
        id, why = next(item for item in dropped.items() if item[1].reason == reason)
        # Text and not a string: what comes from a corpus may look like markup.
        table.add_row(Text(reason), f"{count:,}", Text(f"{id}: {why.detail}"))
    console.print(table)


def end_with_failures(failures: Sequence[Failure], what: str, out: Path) -> None:
    """Print the failures, if any, and exit with status 1.

    what: what failed, after a count: "could not be synthesized".
    """
    if not failures:
        return
    for failure in failures:
        status.print(f"[red]{failure.id}[/red]: ", end="")
        status.print(failure.reason, markup=False)
    status.print(f"{len(failures)} {what}; see {out / FAILED}.", soft_wrap=True)
    sys.exit(1)
