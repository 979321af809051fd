"""`allophone distill`: teaches faster parts to speak as a voice does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from allophone_vits.config import DECODERS
from allophone_vits.distillation.config import DECODER, PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allophone.processes.progress import T


@click.command("distill")
@click.argument("voice")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder of the new voice; it must not exist yet.",
)
@click.option(
    "--learn",
    "parts",
    multiple=True,
    type=click.Choice([part.replace("_", "-") for part in PARTS]),
    default=(DECODER,),
    show_default=True,
    help="A part that the student learns; may be repeated. The others are those of VOICE.",
)
@click.option(
    "--decoder",
    type=click.Choice(tuple(DECODERS)),
    default="vocos",
    show_default=True,
    help="The type of the student's decoder.",
)
@click.option(
    "--texts",
    type=click.Path(path_type=Path),
    help="What the teacher says: a list of texts, as `allophone synthesize --list` reads it.  "
    "[default: 3,000 English sentences]",
)
@click.option(
    "--count", type=click.IntRange(min=2), help="Say only so many of the texts.  [default: all]"
)
@click.option(
    "--takes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Say each text so many times, each time with other noise, which a flow would otherwise learn by heart.",
)
@click.option(
    "--run",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the training, which is resumed if it has begun.  [default: OUT-training]",
)
@click.option(
    "--speech",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the teacher's speech; what is there is not said again, so several trainings may share it.  "
    "[default: what the training had so far, or RUN/teacher]",
)
@click.option(
    "--student",
    "students",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Begin with what a student learned: a run of a distillation, or plugins/joe-fast/training. May be repeated, "
    "as for parts that learned in two runs.",
)
@click.option(
    "--sharpen",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Raise the contrast between neighbouring frequencies above 2 kHz by this share, such as 0.5, in the new "
    "voice; the run keeps what the student learned.",
)
@click.option(
    "--max-steps", type=click.IntRange(min=1), help="Stop after this many optimizer steps."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="A.B=VALUE",
    help="Override a value of the recipe vits/distill; may be repeated.",
)
def command(
    voice: str,
    out: Path,
    parts: tuple[str, ...],
    decoder: str,
    texts: Path | None,
    count: int | None,
    takes: int,
    folder: Path | None,
    speech: Path | None,
    students: tuple[Path, ...],
    sharpen: float,
    max_steps: int | None,
    overrides: tuple[str, ...],
) -> None:
    """Teach a faster decoder, and other faster parts, to speak as VOICE does.

    VOICE says some thousand texts; small parts learn from what its own parts made of them. The new voice has the
    student's decoder, and of the text encoder, durations and flow those of VOICE that the student did not learn.

    Stop with Ctrl-C at any time: the voice is written as it is then. Run the same command again, with another
    --out, to go on.
    """
    from allophone.registry import default_registry
    from allophone_vits.distillation.distilling import distill

    settings = [*overrides, *([f"runtime.max_steps={max_steps}"] if max_steps else [])]
    distill(
        voice,
        out,
        parts=[part.replace("-", "_") for part in dict.fromkeys(parts)],
        decoder=decoder,
        texts=texts,
        count=count,
        takes=takes,
        students=students,
        speech=speech,
        sharpen=sharpen,
        folder=folder or out.with_name(f"{out.name}-training"),
        overrides=settings,
        registry=default_registry(),
        track=_progress,
    )


def _progress(items: Iterable[T], *, total: int | None, description: str) -> Iterable[T]:
    """A progress bar on the terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, description, total=total, console=console, disable=not console.is_terminal)
