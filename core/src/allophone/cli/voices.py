"""`allophone voices`: lists the installed voices, or describes one."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click

from allophone.registry import default_registry

if TYPE_CHECKING:
    from allophone.synthesis.voice import Voice


@click.command("voices")
@click.argument("name", metavar="[VOICE]", required=False)
@click.option("--engine", metavar="NAME", help="The inference engine, as in `allophone say`.")
def command(name: str | None, engine: str | None) -> None:
    """List the installed voices, or show the speakers, languages and controls of VOICE.

    VOICE is an installed voice, a voice folder, a run, a checkpoint or an exported voice.
    """
    if name:
        from allophone.synthesis.loading import load

        _describe(load(name, engine=engine))
        return
    voices = default_registry().entries("voices").values()
    if not voices:
        click.echo(
            "No voices are installed. Voice folders, runs and exported voices can be used by path."
        )
    for voice in voices:
        click.echo(
            f"{click.style(voice.name, bold=True)}  {voice.summary} ({voice.language}, {voice.licence})"
        )


def _describe(voice: Voice) -> None:
    from attrs import fields

    about = voice.description.about
    click.echo(
        f"{click.style(voice.name, bold=True)}  {about.summary or ''} ({about.licence})".strip()
    )
    click.echo(f"  sample rate: {voice.sample_rate} Hz")
    click.echo(f"  languages: {', '.join(voice.languages)}")
    if voice.speakers:
        click.echo(f"  speakers: {', '.join(voice.speakers)}")
    if voice.takes_prompts:
        click.echo("  clones the voice of a recording: --prompt-audio, --prompt-text")
    chosen = voice.controls({})
    click.echo("  controls (--control NAME=VALUE):")
    for control in fields(type(chosen)):
        click.echo(f"    {control.name}={getattr(chosen, control.name)}")
    for line in (inspect.getdoc(type(chosen)) or "").splitlines():
        click.echo(f"      {line}".rstrip())
