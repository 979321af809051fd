"""What this plugin offers: the command `allophone demo`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import CommandEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_commands() -> Iterator[CommandEntry]:
    yield CommandEntry(
        name="demo",
        summary="Open a page in the browser on which voices speak.",
        command="allophone_demo.command:command",
    )
