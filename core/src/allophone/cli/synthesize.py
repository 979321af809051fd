"""`allophone synthesize`: synthesizes many texts; resumable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from allophone.cli.voice_options import (
    chosen_controls,
    chosen_loading,
    mention_speaker,
    only_voice,
    speaking_options,
    voice_options,
)
from allophone.data.manifest import SPLITS, Split
from allophone.errors import UserError, near_miss
from allophone.processes.executors import executor_options, open_executor

if TYPE_CHECKING:
    from allophone.synthesis.requests import Request
    from allophone.synthesis.voice import Voice

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("synthesize")
@click.option("--manifest", type=_file, help="Synthesize the texts of a manifest's split.")
@click.option(
    "--list",
    "list_file",
    type=_file,
    help="Synthesize a list: lines of text, id|text or id|text|speaker (for voices that take prompts, "
    "text|prompt_text|prompt_audio), or JSONL.",
)
@click.option(
    "--mels",
    is_flag=True,
    help="Write mels predicted with teacher forcing for a run's own recordings, to fine-tune a vocoder on.",
)
@click.option(
    "--split",
    help="The split of --manifest (default: test), or one or more splits for --mels (default: train,valid).",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The output folder for WAV files (or mels) and made.jsonl.",
)
@click.option(
    "--batch-size",
    default=8,
    show_default=True,
    type=click.IntRange(min=1),
    help="The number of sentences per batch.",
)
@voice_options
@speaking_options
@executor_options(None)
def command(
    manifest: Path | None,
    list_file: Path | None,
    mels: bool,
    split: str | None,
    out: Path,
    batch_size: int,
    place: str | None,
    executor: str | None,
    workers: int | None,
    **how: Any,
) -> None:
    """Synthesize many texts: a split of a manifest, or a list.

    Files that are up to date are skipped, so an interrupted command can be resumed by running it again. Texts
    that fail are reported, and the exit status is then 1.
    """
    from allophone.cli.console import console, track
    from allophone.cli.reporting import end_with_failures
    from allophone.registry import default_registry
    from allophone.synthesis.batch import synthesize
    from allophone.synthesis.loading import load

    if mels:
        _check_mels_options(click.get_current_context())
        _write_mels(place, split or "train,valid", out, how["device"])
        return
    controls = chosen_controls(how)
    speaker, language = how.pop("speaker"), how.pop("language")
    prompt = how.pop("prompt_audio"), how.pop("prompt_text")
    _check_source(manifest, split, list_file)
    place = place or only_voice(language)
    loading = chosen_loading(how)
    voice = load(place, **loading)
    requests = _requests(manifest, split, list_file, prompted=voice.takes_prompts)
    requests = _with_speaker(requests, voice, speaker, language)
    requests = _with_prompt(requests, *prompt)
    report = synthesize(
        voice,
        requests,
        out,
        provenance={"voice": place, **getattr(voice.engine, "provenance", {})},
        batch_size=batch_size,
        controls=controls,
        executor=open_executor(executor, workers, default_registry()),
        loading={"place": place, **loading},
        track=track,
        **how,
    )
    console.print(
        f"Wrote {report.made} files, skipped {report.skipped} that were up to date: {out}"
    )
    end_with_failures(report.failures, "could not be synthesized", out)


def _check_mels_options(context: click.Context) -> None:
    """Raise UserError for options that do not apply to --mels."""
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in ("mels", "split", "out", "place", "device"):
            raise UserError(
                f"{parameter.opts[0]} cannot be used with --mels, which predicts the mels of a run's own "
                "recordings.",
                hint=f"Omit {parameter.opts[0]}.",
            )


def _write_mels(place: str | None, split: str, out: Path, device: str) -> None:
    from allophone.cli.console import console, track
    from allophone.cli.reporting import end_with_failures, show_dropped
    from allophone.inference.devices import parse_device
    from allophone.inference.reconstruction import DROPPED, reconstruct
    from allophone.registry import default_registry

    if place is None:
        raise UserError("--mels requires --voice with a run or a checkpoint.")
    report = reconstruct(
        place,
        _splits(split),
        out,
        device=parse_device(device),
        registry=default_registry(),
        track=track,
    )
    console.print(
        f"Wrote {report.made} files, skipped {report.skipped} that were up to date: {out}"
    )
    show_dropped(report.left_out, out / DROPPED)
    end_with_failures(report.failures, "could not be predicted", out)


def _splits(text: str) -> tuple[Split, ...]:
    """Parse a comma-separated list of splits."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in SPLITS:
            raise UserError(f"There is no split '{name}'.", hint=near_miss(name, SPLITS))
    return tuple(split for split in SPLITS if split in names)


def _check_source(manifest: Path | None, split: str | None, list_file: Path | None) -> None:
    if (manifest is None) == (list_file is None):
        raise UserError("Give either --manifest or --list.")
    if list_file is not None and split is not None:
        raise UserError("--split cannot be used with --list.", hint="Omit --split.")


def _requests(
    manifest: Path | None, split: str | None, list_file: Path | None, *, prompted: bool
) -> tuple[Request, ...]:
    from allophone.synthesis.requests import read_requests, requests_of_split

    if list_file is not None:
        return read_requests(list_file, prompted=prompted)
    assert manifest is not None
    return requests_of_split(manifest, split or "test")


def _with_prompt(
    requests: tuple[Request, ...], audio: Path | None, text: str | None
) -> tuple[Request, ...]:
    """Add the prompt from the command line to requests without one."""
    from attrs import evolve

    if audio is None:
        if text is not None:
            raise UserError("--prompt-text requires --prompt-audio.")
        return requests
    return tuple(
        evolve(request, prompt_audio=str(audio), prompt_text=text)
        if request.prompt_audio is None
        else request
        for request in requests
    )


def _with_speaker(
    requests: tuple[Request, ...], voice: Voice, speaker: str | None, language: str | None
) -> tuple[Request, ...]:
    """Set the speaker and language from the command line, if the voice has several."""
    from attrs import evolve

    from allophone.synthesis.batch import adapt_requests

    if speaker:
        requests = tuple(evolve(request, speaker=speaker) for request in requests)
    elif any(request.speaker is None for request in requests):
        mention_speaker(voice, None)
    if language:
        requests = tuple(evolve(request, language=language) for request in requests)
    adapted = tuple(adapt_requests(requests, voice))
    if not speaker and any(request.speaker for request in requests) and len(voice.speakers) < 2:
        click.echo(
            f"'{voice.name}' has only one speaker; the speakers of the texts are ignored.", err=True
        )
    return adapted
