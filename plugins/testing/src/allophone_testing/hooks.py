"""The commands of this plugin. Light: imports neither pytest nor torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import CommandEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_commands() -> Iterator[CommandEntry]:
    yield CommandEntry(
        name="new-plugin",
        summary="Create a small working plugin as a starting point.",
        command="allophone_testing.new_plugin:command",
    )
    yield CommandEntry(
        name="package",
        summary="Create a Python package of a voice.",
        command="allophone_testing.package:command",
    )
