"""`allophone demo`: a web page to try voices."""

from __future__ import annotations

import click

from allophone.cli.options import engine_options
from allophone.errors import UserError


@click.command("demo")
@click.option(
    "--voice",
    "places",
    multiple=True,
    metavar="VOICE",
    help="A voice folder, a run, a checkpoint, an installed voice, or an exported voice; may be "
    "repeated.  [default: all installed voices]",
)
@click.option(
    "--vocoder",
    "vocoders",
    multiple=True,
    metavar="VOCODER",
    help="For voices that predict mel spectrograms: a vocoder folder, a run, or a checkpoint; may be "
    "repeated.",
)
@engine_options
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="The port of the page.  [default: the first free one from 7860]",
)
@click.option(
    "--share",
    type=bool,
    default=False,
    metavar="yes|no",
    help="Whether to make the page public for some days, through a server run by Gradio.  [default: no]",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="A host name under which the page may be requested, such as that of a proxy before it; may be repeated.  "
    "[default: the names and addresses of this machine]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="The maximum number of characters of a text.",
)
def command(
    places: tuple[str, ...],
    vocoders: tuple[str, ...],
    engine: str | None,
    device: str,
    port: int | None,
    share: bool,
    allow_hosts: tuple[str, ...],
    limit: int,
) -> None:
    """Start a web page to try voices: text, speaker, controls, waveform, phonemes.

    Only this machine can open the page, unless it is shared. Ctrl-C stops it.
    """
    try:
        from allophone_demo.page import launch
    except ModuleNotFoundError as error:
        raise UserError(
            f"The page needs the package {error.name}, which is not installed.",
            hint="pip install --force-reinstall allophone-demo",
        ) from error
    from allophone.registry import default_registry
    from allophone_demo.voices import open_voices

    voices = open_voices(
        places,
        vocoders=vocoders,
        engine=engine,
        device=device,
        limit=limit,
        registry=default_registry(),
    )
    page = launch(voices, port=port, share=share, allow_hosts=allow_hosts)
    click.echo(f"The page is at {page.local_url} (Ctrl-C stops it).", err=True)
    if page.share_url:
        click.echo(f"It is public at {page.share_url}.", err=True)
    page.block_thread()
