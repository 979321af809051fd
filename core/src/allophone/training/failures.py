"""What went wrong in the processes that train together: reported by each, told once."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Sequence

from attrs import asdict, frozen

from allophone.errors import UserError
from allophone.files.system_errors import told
from allophone.processes.lifetime import ProcessKilledError, how_ended

_LONGEST = 10_000
"""Characters of a message. A pipe holds 65,536 bytes without anybody reading it, and characters have up to four."""

_LOST_PEER = ("closed by peer", "reset by peer", "DistBackendError")


@frozen(kw_only=True)
class Report:
    """The error of a rank.

    message: with the traceback, unless it says all there is to say.
    expected: whether it would happen again: a fault in what was asked for.
    killed: whether a process that the rank needs was killed from outside.
    """

    message: str
    expected: bool = False
    killed: bool = False

    def send(self, descriptor: int) -> None:
        """Write it to a pipe. Not to a file: the disk may be full, which is then what is reported."""
        os.write(
            descriptor, json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "replace")
        )


def report(error: Exception) -> Report:
    """What a rank says of its error."""
    error = told(error) or error
    killed = isinstance(error, ProcessKilledError)
    if isinstance(error, UserError | FloatingPointError):
        return Report(message=str(error)[-_LONGEST:], expected=not killed, killed=killed)
    return Report(message="".join(traceback.format_exception(error)).strip()[-_LONGEST:])


@frozen(kw_only=True)
class Failure:
    """A rank that did not end well.

    status: its exit status, negative for the signal that killed it.
    report: None where it had no time to send one.
    """

    rank: int
    process: int
    status: int
    report: Report | None = None

    @property
    def lost_peer(self) -> bool:
        """Whether it only lost its connection to another rank."""
        said = self.report.message if self.report else ""
        return any(word in said for word in _LOST_PEER)

    @property
    def killed(self) -> bool:
        """Whether it, or a process that it needs, was killed from outside."""
        return self.report.killed if self.report else self.status < 0


def read_failure(rank: int, process: int, status: int, sent: bytes) -> Failure:
    """What became of a rank, and what it has sent, if anything."""
    received = Report(**json.loads(sent)) if sent else None
    return Failure(rank=rank, process=process, status=status, report=received)


def causes(failures: Sequence[Failure]) -> list[Failure]:
    """The failures that others followed from; all of them where that cannot be told."""
    first = [one for one in failures if not one.lost_peer]
    return [one for one in first if one.report or one.killed] or first or list(failures)


def explained(failures: Sequence[Failure], ranks: int) -> UserError:
    """An error that tells each cause once, and which ranks it befell unless it befell all."""
    befell: dict[str, list[int]] = {}
    silent: list[Failure] = []
    for one in causes(failures):
        if one.report:
            befell.setdefault(one.report.message, []).append(one.rank)
        else:
            silent.append(one)
    lines = [
        f"{_listed(those)}: {message}" if len(those) < ranks else message
        for message, those in befell.items()
    ]
    lines += [f"Rank {one.rank} (process {one.process}) {how_ended(one.status)}." for one in silent]
    hint = None
    if any(one.killed for one in silent):
        hint = (
            "The system may have run out of memory. --resume goes on from the latest checkpoint; "
            "--max-restarts 3 does so by itself."
        )
    return UserError("\n".join(lines), hint=hint)


def _listed(ranks: Sequence[int]) -> str:
    return f"Rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"
