"""`allophone demo`: a page in the browser on which voices speak."""

from __future__ import annotations

import click

from allophone.errors import UserError


@click.command("demo")
@click.option(
    "--voice",
    "places",
    multiple=True,
    metavar="VOICE",
    help="A voice folder, a run, a checkpoint, an installed voice, or what was exported of one; may be "
    "repeated. Without it, all installed voices can be chosen.",
)
@click.option(
    "--vocoder",
    "vocoders",
    multiple=True,
    metavar="VOCODER",
    help="For voices that make mel spectrograms: a vocoder's folder, a run, or a checkpoint; may be "
    "repeated.",
)
@click.option(
    "--engine",
    metavar="NAME",
    help="What computes the speech: onnx, torch, ...; by default the lightest that can.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Where the page is; the first free one from 7860 on, unless given.",
)
@click.option(
    "--share",
    type=bool,
    default=False,
    metavar="yes|no",
    help="Whether Gradio makes the page public for some days, through a server of its own.  [default: no]",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="How many characters are said at once.",
)
def command(
    places: tuple[str, ...],
    vocoders: tuple[str, ...],
    engine: str | None,
    device: str,
    port: int | None,
    share: bool,
    limit: int,
) -> None:
    """Open a page on which voices speak: text, speaker, controls, waveform, phonemes.

    Only this machine can open it, unless it is shared; Ctrl-C ends it.
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
    page = launch(voices, port=port, share=share)
    click.echo(f"The page is at {page.local_url} (Ctrl-C ends it).", err=True)
    if page.share_url:
        click.echo(f"It is public at {page.share_url}.", err=True)
    page.block_thread()
