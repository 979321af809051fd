"""`allophone convert`: voice conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from allophone.cli.voice_options import open_voice, voice_options


@click.command("convert")
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--from", "source", required=True, metavar="SPEAKER", help="The speaker of RECORDING."
)
@click.option("--to", "target", required=True, metavar="SPEAKER", help="The target speaker.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="The random seed."
)
@voice_options
def command(
    recording: Path,
    out: Path,
    source: str,
    target: str,
    seed: int,
    place: str | None,
    **how: Any,
) -> None:
    """Convert RECORDING from one of the voice's speakers to another, and write OUT (.wav or .flac)."""
    voice = open_voice(place, how)
    converted = voice.convert(recording, source=source, target=target, seed=seed)
    converted.save(out)
    click.echo(f"Wrote {out}: {converted.seconds:.2f} s, {voice.sample_rate} Hz.", err=True)
