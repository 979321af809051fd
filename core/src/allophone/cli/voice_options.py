"""The options of the commands that speak, and the voice that they choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allophone.errors import UserError
from allophone.registry import default_registry

if TYPE_CHECKING:
    from allophone.entries import VoiceEntry
    from allophone.synthesis.engine import Prompt
    from allophone.synthesis.voice import Voice

_CONTROLS = ("length_scale", "noise_scale", "noise_scale_duration")
"""Controls that many families have, with an option of their own; others go through --control."""


def voice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which voice, by which engine, on which device, through which vocoder; see `open_voice`."""
    for option in reversed(
        (
            click.option(
                "--voice",
                "place",
                metavar="VOICE",
                help="A voice folder, a run, a checkpoint, an installed voice, or what was exported of one; "
                "may be left out when one is installed.",
            ),
            click.option(
                "--engine",
                metavar="NAME",
                help="What computes the speech: onnx, torch, ...; by default the lightest that can.",
            ),
            click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1."),
            click.option(
                "--vocoder",
                metavar="VOCODER",
                help="For voices that make mel spectrograms: a vocoder's folder, a run, a checkpoint, "
                "or griffin-lim.",
            ),
            click.option(
                "--vocoder-control",
                "vocoder_controls",
                multiple=True,
                metavar="NAME=VALUE",
                help="A control of the vocoder, such as steps=12; may be repeated.",
            ),
        )
    ):
        command = option(command)
    return command


def speaking_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Who speaks and how; the controls arrive as `controls`, see `chosen_controls`."""
    for option in reversed(
        (
            click.option("--speaker", metavar="NAME", help="Which of the voice's speakers."),
            click.option("--language", metavar="CODE", help="Which of the voice's languages."),
            click.option(
                "--prompt-audio",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="For voices that take one: a recording of a few seconds, in whose voice to speak.",
            ),
            click.option(
                "--prompt-text",
                metavar="TEXT",
                help="What is said in that recording, every word. Without it, what is to be said begins with "
                "those words, and goes on from the recording.",
            ),
            click.option(
                "--length-scale",
                type=float,
                help="Slower above 1, faster below; for voices with this control.",
            ),
            click.option(
                "--noise-scale",
                type=float,
                help="How much the sound varies; for voices with this control.",
            ),
            click.option(
                "--noise-scale-duration",
                type=float,
                help="How much the rhythm varies; for voices with this control.",
            ),
            click.option(
                "--control",
                "other_controls",
                multiple=True,
                metavar="NAME=VALUE",
                help="Any control of the voice; may be repeated. `allophone voices VOICE` lists them.",
            ),
            click.option(
                "--seed",
                default=0,
                show_default=True,
                type=click.IntRange(min=0),
                help="What is random in the speech follows from this.",
            ),
            click.option(
                "--pause",
                default=0.2,
                show_default=True,
                type=click.FloatRange(min=0),
                help="Seconds of silence between sentences.",
            ),
        )
    ):
        command = option(command)
    return command


def chosen_controls(given: dict[str, Any]) -> dict[str, Any]:
    """Take the controls out of a command's arguments: those that were given, by name."""
    from allophone.config.tables import parse_assignment

    controls = {name: given.pop(name) for name in _CONTROLS}
    controls |= dict(parse_assignment(each) for each in given.pop("other_controls"))
    return {name: value for name, value in controls.items() if value is not None}


def chosen_vocoder_controls(given: dict[str, Any]) -> dict[str, Any]:
    """Take the vocoder's controls out of a command's arguments, by name."""
    from allophone.config.tables import parse_assignment

    return dict(parse_assignment(each) for each in given.pop("vocoder_controls"))


def chosen_prompt(voice: Voice, given: dict[str, Any]) -> Prompt | None:
    """Take the prompt out of a command's arguments, and read it."""
    audio, text = given.pop("prompt_audio"), given.pop("prompt_text")
    if audio is None:
        if text is not None:
            raise UserError(
                "There is a --prompt-text without the recording that says it.",
                hint="Name the recording: --prompt-audio FILE",
            )
        return None
    return voice.prompt(audio, text=text, language=given.get("language"))


def open_voice(place: str | None, given: dict[str, Any], *, language: str | None = None) -> Voice:
    """Load the voice that was asked for, or the only one that is installed and fits, saying which.

    given: a command's arguments; those of `voice_options` are taken out of it.
    """
    from allophone.synthesis.loading import load

    return load(
        place or only_voice(language),
        engine=given.pop("engine"),
        device=given.pop("device"),
        vocoder=given.pop("vocoder"),
        vocoder_controls=chosen_vocoder_controls(given),
    )


def only_voice(language: str | None) -> str:
    """The name of the installed voice, of `language` where one is asked for.

    UserError, listing them, when there is not exactly one.
    """
    registry = default_registry()
    installed: Sequence[VoiceEntry] = tuple(registry.entries("voices").values())
    fitting = [voice for voice in installed if language in (None, voice.language)]
    if len(fitting) == 1:
        click.echo(f"Speaking as '{fitting[0].name}', the only voice that fits.", err=True)
        return fitting[0].name
    if not installed:
        raise UserError(
            "No voice was named, and none is installed.",
            hint="\n".join(
                [
                    "Say which with --voice: a voice folder, a run or a checkpoint.",
                    *registry.unavailable(),
                ]
            ),
        )
    raise UserError(
        f"No voice was named, and {len(fitting)} installed ones fit.",
        hint="Say which with --voice:\n" + "\n".join(_described(voice) for voice in installed),
    )


def mention_speaker(voice: Voice, speaker: str | None) -> None:
    """Say who speaks where there is a choice that was not made."""
    if speaker is None and len(voice.speakers) > 1:
        click.echo(
            f"Speaking as '{voice.speakers[0]}', the first of {len(voice.speakers)} speakers; "
            "another with --speaker.",
            err=True,
        )


def _described(voice: VoiceEntry) -> str:
    return f"  {voice.name}: {voice.summary} ({voice.language}, {voice.licence})"
