"""The entries of this plugin: the voice `joe-fast`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import VoiceEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1
SUMMARY = (
    "The voice joe, five times as fast as with piper-tts, distilled from it: not yet as natural."
)
LICENCE = "CC0-1.0 (recordings), MIT (package)"


@hookimpl
def allophone_voices() -> Iterator[VoiceEntry]:
    yield VoiceEntry(
        name="joe-fast",
        summary=SUMMARY,
        language="en-us",
        licence=LICENCE,
        locate="allophone_voice_joe_fast.files:locate",
    )
