"""`allophone plugins`: lists the installed plugins, what they offer, and why any is broken."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator
from typing import Any

import click

from allophone.cli import traceback_wanted
from allophone.plugin import Plugin
from allophone.registry import default_registry


@click.command("plugins", help="List the installed plugins and what they offer.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--verbose", is_flag=True, help="Show the tracebacks of broken plugins.")
def command(as_json: bool, verbose: bool) -> None:
    plugins = default_registry().plugins
    verbose = verbose or traceback_wanted()
    if as_json:
        click.echo(json_format.dumps([_plain(plugin, verbose) for plugin in plugins], indent=2))
    else:
        for plugin in plugins:
            click.echo("\n".join(_shown(plugin, verbose)))
    if any(plugin.failure or plugin.conflicts for plugin in plugins):
        sys.exit(1)


def _shown(plugin: Plugin, verbose: bool) -> Iterator[str]:
    """Yield the lines that describe a plugin."""
    title = click.style(plugin.name, bold=True)
    yield f"{title}  {plugin.distribution} {plugin.version}".rstrip()
    if plugin.failure:
        yield click.style(f"  broken: {plugin.failure}", fg="red")
    if plugin.location:
        yield f"  at {plugin.location}"
    if plugin.disabled:
        yield click.style("  disabled", fg="yellow")
    yield from (f"  {line}" for line in (plugin.advice or "").splitlines())
    if verbose and plugin.traceback_text:
        yield from (f"    {line}" for line in plugin.traceback_text.splitlines())
    for kind, entries in plugin.entries.items():
        if entries:
            yield f"  {kind.replace('_', ' ')}: {', '.join(entry.name for entry in entries)}"
    if plugin.observes:
        yield "  observes training"
    for conflict in plugin.conflicts:
        yield click.style(f"  conflict: {conflict.message}", fg="red")
        yield f"  {conflict.advice}"


def _plain(plugin: Plugin, verbose: bool) -> dict[str, Any]:
    plain = {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "state": plugin.state,
        "failure": plugin.failure,
        "location": plugin.location,
        "advice": plugin.advice,
        "conflicts": [
            {
                "kind": conflict.kind,
                "name": conflict.name,
                "message": conflict.message,
                "advice": conflict.advice,
            }
            for conflict in plugin.conflicts
        ],
        "observes_training": plugin.observes,
        "entries": {
            kind: [{"name": entry.name, "summary": entry.summary} for entry in entries]
            for kind, entries in plugin.entries.items()
        },
    }
    return plain | ({"traceback": plugin.traceback_text} if verbose else {})
