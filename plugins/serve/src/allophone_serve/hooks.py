"""The entries of this plugin: the command `allophone serve`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import CommandEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_commands() -> Iterator[CommandEntry]:
    yield CommandEntry(
        name="serve",
        summary="Serve voices to other programs.",
        command="allophone_serve.command:command",
    )
