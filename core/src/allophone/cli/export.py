"""`allophone export`: write a voice in a format that other programs speak with."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("voice")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The file or folder to write; nothing may lie there.",
)
@click.option(
    "--format",
    "format_name",
    metavar="FORMAT",
    help="May be left out where the voice's family has only one.",
)
@click.option(
    "--streaming",
    is_flag=True,
    help="In the form that is heard before a sentence is finished.",
)
def command(voice: str, out: Path, format_name: str | None, streaming: bool) -> None:
    """Write VOICE, a voice folder, a run, a checkpoint or an installed voice, in another format.

    `allophone say --voice` speaks with what is written, and so do the programs whose format it is.
    """
    from allophone.inference.exporting import export_voice
    from allophone.registry import default_registry

    done = export_voice(voice, out, format_name, default_registry(), streaming=streaming)
    written = ", ".join(str(path) for path in done.written)
    click.echo(f"Wrote {written}, as {done.format}.", err=True)
