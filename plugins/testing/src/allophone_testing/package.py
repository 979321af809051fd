"""`allophone package`: writes a Python package of a voice."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click


@click.command("package")
@click.argument("voice")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    help="The folder to create it in.  [default: the current folder]",
)
@click.option(
    "--name", metavar="NAME", help="The name of the installed voice.  [default: the voice's own]"
)
@click.option("--version", default="0.1.0", show_default=True, help="The version of the package.")
@click.option("--licence", help="The licence of the voice, preferably an SPDX identifier.")
@click.option("--summary", help="A one-line description of the voice.")
@click.option(
    "--language", metavar="CODE", help="The language of the voice.  [default: the voice's own]"
)
def command(
    voice: str,
    into: Path,
    name: str | None,
    version: str,
    licence: str | None,
    summary: str | None,
    language: str | None,
) -> None:
    """Create a Python package of VOICE, so that it can be installed with pip and used by name.

    VOICE is a voice folder, a run, a checkpoint, an exported voice or an installed voice.
    """
    from allophone.registry import default_registry
    from allophone_testing.packaging import PackageMetadata, package_voice

    metadata = PackageMetadata(
        name=name, version=version, licence=licence, summary=summary, language=language
    )
    folder = package_voice(voice, into, metadata, default_registry())
    installed = folder.name.removeprefix("allophone-voice-")
    # pip would download a package of that name if the path had no slash.
    local = shlex.quote(os.path.join(os.curdir, folder))
    click.echo(f"Created the package in {folder}. Next:\n\n    pip install {local}")
    click.echo(f'    allophone say "Good morning." --voice {installed}')
