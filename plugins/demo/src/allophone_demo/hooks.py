"""The entries of this plugin: the command `allophone demo`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import CommandEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_commands() -> Iterator[CommandEntry]:
    yield CommandEntry(
        name="demo",
        summary="Start a web page to try voices.",
        command="allophone_demo.command:command",
    )
