"""`allophone package`: write an installable package of a voice."""

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
    help="Where its folder is made; the current folder unless given.",
)
@click.option(
    "--name", metavar="NAME", help="What it is called: --voice NAME; by default as the voice is."
)
@click.option("--version", default="0.1.0", show_default=True, help="Of the package.")
@click.option("--licence", help="What one may do with the voice, best an SPDX name.")
@click.option("--summary", help="One line about the voice.")
@click.option("--language", metavar="CODE", help="By default the language of its texts.")
def command(
    voice: str,
    into: Path,
    name: str | None,
    version: str,
    licence: str | None,
    summary: str | None,
    language: str | None,
) -> None:
    """Write a package of VOICE that installs with pip and speaks by its name.

    VOICE is a voice folder, a run, a checkpoint, an exported voice or an installed one.
    """
    from allophone.packaging import Label, package_voice
    from allophone.registry import default_registry

    label = Label(name=name, version=version, licence=licence, summary=summary, language=language)
    folder = package_voice(voice, into, label, default_registry())
    spoken = folder.name.removeprefix("allophone-voice-")
    # pip takes a name without a slash for that of a package to download.
    local = shlex.quote(os.path.join(os.curdir, folder))
    click.echo(f"{folder} holds the package. Next:\n\n    pip install {local}")
    click.echo(f'    allophone say "Good morning." --voice {spoken}')
