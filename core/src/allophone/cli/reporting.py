"""How commands that go through many utterances name those that came to nothing."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from allophone.cli.console import console, status
from allophone.data.manifest import Dropped
from allophone.synthesis.ledger import FAILED, Failure


def show_dropped(dropped: Mapping[str, Dropped], report: Path) -> None:
    """Count what was left out by its reasons, each with an example; `report` names them all."""
    if not dropped:
        return
    console.print(f"left out (each is named in {report}):", soft_wrap=True)
    table = Table()
    table.add_column("reason")
    table.add_column("utterances", justify="right")
    table.add_column("for example")
    reasons = Counter(why.reason for why in dropped.values())
    for reason, count in reasons.most_common():
        id, why = next(item for item in dropped.items() if item[1].reason == reason)
        table.add_row(reason, f"{count:,}", f"{id}: {why.detail}")
    console.print(table)


def end_with_failures(failures: Sequence[Failure], what: str, out: Path) -> None:
    """Name what could not be done, and end the command with status 1; nothing where all went well."""
    if not failures:
        return
    for failure in failures:
        status.print(f"[red]{failure.id}[/red]: ", end="")
        status.print(failure.reason, markup=False)
    status.print(f"{len(failures)} {what}; see {out / FAILED}.", soft_wrap=True)
    sys.exit(1)
