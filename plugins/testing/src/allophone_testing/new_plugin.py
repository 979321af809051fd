"""`allophone new-plugin`: writes a small working plugin as a starting point."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("new-plugin", help="Create a small working plugin as a starting point.")
@click.argument("name")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    help="The folder to create it in.  [default: the current folder]",
)
def command(name: str, into: Path) -> None:
    from allophone.errors import UserError
    from allophone.registry import build_registry
    from allophone_testing.templates import write_plugin

    for plugin in build_registry(strict=False).plugins:
        taken = {entry.name for entries in plugin.entries.values() for entry in entries}
        if name == plugin.name or name in taken:
            raise UserError(
                f"The name '{name}' is already used by the installed package {plugin.distribution}.",
                hint="Choose another name.",
            )
    folder = write_plugin(name, into)
    click.echo(f"Created a plugin with a small working model in {folder}. Next:\n")
    where = shlex.quote(str(folder))
    for line in (
        f"pip install -e {shlex.quote(f'{folder}[testing]')}",
        f"pytest {where}",
        f"allophone prepare {name}/tiny --root FOLDER    # with metadata.csv and recordings",
    ):
        click.echo(f"    {line}")
    click.echo(f"\nSee {folder / 'README.md'} for more.")
