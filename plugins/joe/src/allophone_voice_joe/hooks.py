"""The entries of this plugin: the voice `joe`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import VoiceEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_voices() -> Iterator[VoiceEntry]:
    yield VoiceEntry(
        name="joe",
        summary="An American English man, 22.05 kHz.",
        language="en-us",
        licence="CC0-1.0 (recordings), MIT (package)",
        locate="allophone_voice_joe.files:locate",
    )
