"""`allophone plugins`: what is installed, what each plugin offers, and what is broken."""

from __future__ import annotations

import json as json_format
import sys
from typing import Any

import click

from allophone.registry import Plugin, default_registry


@click.command("plugins", help="List what is installed, and what is broken.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def command(as_json: bool) -> None:
    plugins = default_registry().plugins
    if as_json:
        click.echo(json_format.dumps([_plain(plugin) for plugin in plugins], indent=2))
        return
    for plugin in plugins:
        _show(plugin)
    if any(plugin.failure for plugin in plugins):
        sys.exit(1)


def _show(plugin: Plugin) -> None:
    title = click.style(plugin.name, bold=True)
    click.echo(f"{title}  {plugin.distribution} {plugin.version}".rstrip())
    if plugin.failure:
        click.secho(f"  broken: {plugin.failure}", fg="red")
        click.echo(f"  Reinstall it: pip install --force-reinstall {plugin.distribution}")
    for kind, entries in plugin.entries.items():
        names = ", ".join(entry.name for entry in entries)
        click.echo(f"  {kind.replace('_', ' ')}: {names}")


def _plain(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "failure": plugin.failure,
        "entries": {
            kind: [{"name": entry.name, "summary": entry.summary} for entry in entries]
            for kind, entries in plugin.entries.items()
        },
    }
