"""`allophone import`: turn somebody else's checkpoint, or a run of one's own, into a voice."""

from __future__ import annotations

from pathlib import Path

import click

from allophone.errors import UserError


@click.command("import")
@click.argument(
    "sources",
    metavar="SOURCE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.argument("destination", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "format_name",
    metavar="FORMAT",
    help="What SOURCE is, where it cannot be told from its looks.",
)
def command(sources: tuple[Path, ...], destination: Path, format_name: str | None) -> None:
    """Turn SOURCE, another project's checkpoint or a run, into a voice folder at DESTINATION.

    A trained vocoder becomes a vocoder's folder. What is learned in several runs becomes one voice of all
    of them.
    """
    from allophone.inference.importing import import_checkpoint, import_stages
    from allophone.registry import default_registry

    registry = default_registry()
    if len(sources) > 1:
        if format_name is not None:
            raise UserError("--as names the format of a single source.", hint="Leave out --as.")
        import_stages(sources, destination, registry)
        done = f"{len(sources)} runs"
    else:
        done = import_checkpoint(sources[0], destination, format_name, registry)
    click.echo(f"Wrote {destination}, from {done}.", err=True)
