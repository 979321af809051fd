"""`allophone export`: writes a voice in a format of other programs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("voice")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The file or folder to write; it must not exist.",
)
@click.option(
    "--format",
    "format_name",
    metavar="FORMAT",
    help="The export format; optional if the voice's family has only one.",
)
@click.option(
    "--streaming",
    is_flag=True,
    help="Export a form that can be streamed.",
)
def command(voice: str, out: Path, format_name: str | None, streaming: bool) -> None:
    """Export VOICE (a voice folder, a run, a checkpoint or an installed voice) to another format.

    The result can be used with `allophone say --voice` if an installed engine supports the format.
    """
    from allophone.inference.exporting import export_voice
    from allophone.registry import default_registry

    done = export_voice(voice, out, format_name, default_registry(), streaming=streaming)
    written = ", ".join(str(path) for path in done.written)
    click.echo(f"Wrote {written} in the format {done.format}.", err=True)
