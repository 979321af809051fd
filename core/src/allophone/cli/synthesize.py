"""`allophone synthesize`: speak many texts, resumably."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allophone.cli.voice_options import (
    chosen_controls,
    mention_speaker,
    only_voice,
    speaking_options,
    voice_options,
)
from allophone.errors import UserError

if TYPE_CHECKING:
    from allophone.registry import Registry
    from allophone.synthesis.requests import Request
    from allophone.synthesis.voice import Voice

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("synthesize")
@click.option("--manifest", type=_file, help="Say the texts of a manifest's split.")
@click.option("--split", default="test", show_default=True, help="Which split of --manifest.")
@click.option(
    "--list",
    "list_file",
    type=_file,
    help="Say a list: lines of text, id|text or id|text|speaker, or JSONL.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for WAV files and made.jsonl.",
)
@click.option(
    "--batch-size",
    default=8,
    show_default=True,
    type=click.IntRange(min=1),
    help="Sentences of like length that are said together.",
)
@voice_options
@speaking_options
def command(
    manifest: Path | None,
    split: str,
    list_file: Path | None,
    out: Path,
    batch_size: int,
    place: str | None,
    device: str,
    vocoder: str | None,
    **how: Any,
) -> None:
    """Speak many texts: a split of a manifest, or a list.

    Run it again to go on where it was stopped, or to say only what has changed. Texts that cannot be
    said are named, and the exit status is 1.
    """
    from allophone.cli.console import console, status, track
    from allophone.registry import default_registry
    from allophone.synthesis.batch import FAILED, synthesize

    controls = chosen_controls(how)
    speaker, language = how.pop("speaker"), how.pop("language")
    requests = _requests(manifest, split, list_file)
    registry = default_registry()
    voice, provenance = _open(place or only_voice(language), device, vocoder, registry)
    requests = _addressed(requests, voice, speaker, language)
    report = synthesize(
        voice,
        requests,
        out,
        provenance=provenance,
        batch_size=batch_size,
        controls=controls,
        track=track,
        **how,
    )
    console.print(f"Made {report.made}, skipped {report.skipped} that were made before: {out}")
    for failure in report.failures:
        status.print(f"[red]{failure.request.id}[/red]: ", end="")
        status.print(failure.reason, markup=False)
    if report.failures:
        status.print(f"{len(report.failures)} could not be said; see {out / FAILED}.")
        sys.exit(1)


def _requests(manifest: Path | None, split: str, list_file: Path | None) -> tuple[Request, ...]:
    from allophone.synthesis.requests import read_requests, requests_of_split

    if manifest is not None and list_file is None:
        return requests_of_split(manifest, split)
    if list_file is not None and manifest is None:
        return read_requests(list_file)
    raise UserError("Say what to speak with either --manifest or --list.")


def _open(
    place: str, device: str, vocoder: str | None, registry: Registry
) -> tuple[Voice, dict[str, str]]:
    """The voice, and what tells its sound from another's."""
    import torch

    from allophone.synthesis.batch import digest
    from allophone.synthesis.folder import WEIGHTS
    from allophone.synthesis.places import find_voice
    from allophone.synthesis.voice import prepare

    found = find_voice(place, registry)
    provenance = {"voice": place, "weights": digest(found.weights)}
    if vocoder is not None:
        learned = Path(vocoder) / WEIGHTS
        provenance["vocoder"] = digest(learned) if learned.is_file() else vocoder
    voice = prepare(
        found.read(registry), device=torch.device(device), vocoder=vocoder, registry=registry
    )
    return voice, provenance


def _addressed(
    requests: tuple[Request, ...], voice: Voice, speaker: str | None, language: str | None
) -> tuple[Request, ...]:
    """The requests with the speaker and language that were asked for, as far as the voice has any."""
    from attrs import evolve

    from allophone.synthesis.batch import suit

    if speaker:
        requests = tuple(evolve(request, speaker=speaker) for request in requests)
    elif any(request.speaker is None for request in requests):
        mention_speaker(voice, None)
    if language:
        requests = tuple(evolve(request, language=language) for request in requests)
    suited = tuple(suit(requests, voice))
    if not speaker and any(request.speaker for request in requests) and len(voice.speakers) < 2:
        click.echo(f"'{voice.name}' has one speaker, who says all texts.", err=True)
    return suited
