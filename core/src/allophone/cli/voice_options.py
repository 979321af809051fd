"""The options of commands that synthesize speech, and loading the chosen voice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allophone.cli.options import engine_options, parse_controls, vocoder_option
from allophone.errors import UserError
from allophone.registry import default_registry

if TYPE_CHECKING:
    from allophone.entries import VoiceEntry
    from allophone.synthesis.engine import Prompt
    from allophone.synthesis.voice import Voice

_CONTROLS = ("length_scale", "noise_scale", "noise_scale_duration")
"""Common controls, which have their own options; others are set with --control."""


def voice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for the voice, engine, device and vocoder; see `open_voice`."""
    for option in reversed(
        (
            click.option(
                "--voice",
                "place",
                metavar="VOICE",
                help="An installed voice, a voice folder, a run, a checkpoint or an exported voice; "
                "optional if only one voice is installed.",
            ),
            engine_options,
            vocoder_option,
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
    """Add the options for the speaker, prompt, controls and seed; see `chosen_controls`."""
    for option in reversed(
        (
            click.option(
                "--speaker", metavar="NAME", help="A speaker of the voice; by default the first."
            ),
            click.option(
                "--language", metavar="CODE", help="A language of the voice; by default the first."
            ),
            click.option(
                "--prompt-audio",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="A recording of a few seconds of the speaker to clone; for voices that take prompts.",
            ),
            click.option(
                "--prompt-text",
                metavar="TEXT",
                help="The exact transcript of --prompt-audio. If omitted, the text must begin with it, and "
                "the speech continues the recording.",
            ),
            click.option(
                "--length-scale",
                type=float,
                help="Slower above 1, faster below 1; for voices with this control.",
            ),
            click.option(
                "--noise-scale",
                type=float,
                help="The amount of variation in sound; for voices with this control.",
            ),
            click.option(
                "--noise-scale-duration",
                type=float,
                help="The amount of variation in rhythm; for voices with this control.",
            ),
            click.option(
                "--control",
                "other_controls",
                multiple=True,
                metavar="NAME=VALUE",
                help="Set any control of the voice; may be repeated. `allophone voices VOICE` lists them.",
            ),
            click.option(
                "--seed",
                default=0,
                show_default=True,
                type=click.IntRange(min=0),
                help="The random seed.",
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
    """Remove the controls from a command's arguments, and return those that were given."""
    controls = {name: given.pop(name) for name in _CONTROLS}
    controls |= parse_controls(given.pop("other_controls"))
    return {name: value for name, value in controls.items() if value is not None}


def chosen_vocoder_controls(given: dict[str, Any]) -> dict[str, Any]:
    """Remove the vocoder controls from a command's arguments, and return them."""
    return parse_controls(
        given.pop("vocoder_controls"), option="--vocoder-control", example="steps=12"
    )


def chosen_prompt(voice: Voice, given: dict[str, Any]) -> Prompt | None:
    """Remove the prompt from a command's arguments, and load it."""
    audio, text = given.pop("prompt_audio"), given.pop("prompt_text")
    if audio is None:
        if text is not None:
            raise UserError(
                "--prompt-text requires --prompt-audio.",
                hint="Give the recording with --prompt-audio FILE.",
            )
        return None
    return voice.prompt(audio, text=text, language=given.get("language"))


def open_voice(place: str | None, given: dict[str, Any], *, language: str | None = None) -> Voice:
    """Load the voice at `place`, or by default the only installed voice (of `language`).

    given: a command's arguments; those of `voice_options` are removed from it.
    """
    from allophone.synthesis.loading import load

    return load(place or only_voice(language), **chosen_loading(given))


def chosen_loading(given: dict[str, Any]) -> dict[str, Any]:
    """Remove the options of `voice_options` from a command's arguments; return them as arguments of `load`."""
    return {
        **{name: given.pop(name) for name in ("engine", "device", "vocoder")},
        "vocoder_controls": chosen_vocoder_controls(given),
    }


def only_voice(language: str | None) -> str:
    """Return the name of the only installed voice, or of the only one in `language` if given.

    Raises UserError, listing the installed voices, unless there is exactly one.
    """
    registry = default_registry()
    installed: Sequence[VoiceEntry] = tuple(registry.entries("voices").values())
    matching = [voice for voice in installed if language in (None, voice.language)]
    if len(matching) == 1:
        click.echo(f"Using the voice '{matching[0].name}'.", err=True)
        return matching[0].name
    if not installed:
        raise UserError(
            "No --voice was given, and no voice is installed.",
            hint="\n".join(
                [
                    "Use --voice with a voice folder, a run or a checkpoint.",
                    *registry.unavailable(),
                ]
            ),
        )
    raise UserError(
        f"No --voice was given, and {len(matching)} installed voices match.",
        hint="Choose one with --voice:\n" + "\n".join(_summary(voice) for voice in installed),
    )


def mention_speaker(voice: Voice, speaker: str | None) -> None:
    """Print which speaker is used if the voice has several and none was chosen."""
    if speaker is None and len(voice.speakers) > 1:
        click.echo(
            f"Using the speaker '{voice.speakers[0]}', the first of {len(voice.speakers)}; "
            "choose another with --speaker.",
            err=True,
        )


def _summary(voice: VoiceEntry) -> str:
    return f"  {voice.name}: {voice.summary} ({voice.language}, {voice.licence})"
