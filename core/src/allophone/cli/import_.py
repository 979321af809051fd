"""`allophone import`: converts another project's checkpoint, or a training run, to a voice folder."""

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
    help="The format of SOURCE, if it cannot be detected.",
)
def command(sources: tuple[Path, ...], destination: Path, format_name: str | None) -> None:
    """Convert SOURCE, another project's checkpoint or a training run, to a voice folder at DESTINATION.

    A vocoder is converted to a vocoder folder. For models that are trained in several stages, give the run of
    each stage; they are combined into one voice.
    """
    from allophone.inference.importing import import_checkpoint, import_stages
    from allophone.registry import default_registry

    registry = default_registry()
    if len(sources) > 1:
        if format_name is not None:
            raise UserError("--as takes a single SOURCE.", hint="Omit --as.")
        import_stages(sources, destination, registry)
        done = f"{len(sources)} runs"
    else:
        done = import_checkpoint(sources[0], destination, format_name, registry)
    click.echo(f"Wrote {destination} from {done}.", err=True)
