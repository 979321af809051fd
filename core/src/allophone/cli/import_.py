"""`allophone import`: turn somebody else's checkpoint, or a run of one's own, into a voice."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("destination", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "format_name",
    metavar="FORMAT",
    help="What SOURCE is, where it cannot be told from its looks.",
)
def command(source: Path, destination: Path, format_name: str | None) -> None:
    """Turn SOURCE, another project's checkpoint or a run, into a voice folder at DESTINATION.

    A trained vocoder becomes a vocoder's folder.
    """
    from allophone.registry import default_registry
    from allophone.synthesis.importing import import_checkpoint

    done = import_checkpoint(source, destination, format_name, default_registry())
    click.echo(f"Wrote {destination}, from {done}.", err=True)
