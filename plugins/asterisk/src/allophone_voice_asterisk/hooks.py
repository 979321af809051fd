"""The entries of this plugin: the voice `asterisk`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import VoiceEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_voices() -> Iterator[VoiceEntry]:
    yield VoiceEntry(
        name="asterisk",
        summary="An American English woman, 22.05 kHz, with a fast decoder.",
        language="en-us",
        licence="CC-BY-SA-3.0",
        locate="allophone_voice_asterisk.files:locate",
    )
