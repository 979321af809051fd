"""`allophone new-plugin`: a small plugin that trains and speaks, to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("new-plugin", help="Write a small plugin to start from.")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    help="Where its folder is made; the current folder unless given.",
)
def command(name: str, into: Path) -> None:
    from allophone.errors import UserError
    from allophone.registry import build_registry
    from allophone.templates import write_plugin

    for plugin in build_registry(strict=False).plugins:
        taken = {entry.name for entries in plugin.entries.values() for entry in entries}
        if name == plugin.name or name in taken:
            raise UserError(
                f"'{name}' is taken: {plugin.distribution}, which is installed, offers it.",
                hint="Choose another name.",
            )
    folder = write_plugin(name, into)
    click.echo(f"{folder} holds a plugin that trains and speaks. Next:\n")
    where = shlex.quote(str(folder))
    for line in (
        f"pip install -e {shlex.quote(f'{folder}[testing]')}",
        f"pytest {where}",
        f"allophone prepare {name}/tiny --root FOLDER    # with metadata.csv and recordings",
    ):
        click.echo(f"    {line}")
    click.echo(f"\n{folder / 'README.md'} goes on from there.")
