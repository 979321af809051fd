"""The result of a request to the page: audio and figure, or an error message."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np
from attrs import Factory, frozen

from allophone.audio.wav import pcm16, wav_header
from allophone.errors import UserError
from allophone.synthesis.waveform import Waveform
from allophone_demo.figure import figure
from allophone_demo.voices import Said, Voices

Row = tuple[str, float | None, float | None]
"""A phoneme, its start in seconds, and its duration in milliseconds."""

_BOX = (
    '<div role="{role}" style="border-left: 4px solid {colour}; padding: 0.6em 1em; '
    'white-space: pre-wrap">{text}</div>'
)


@frozen(kw_only=True)
class Answer:
    """message: HTML; an error, in which case all else is empty, or a warning, or empty.

    wav: the bytes of a WAV file.
    figure: an SVG image of the mel spectrogram and the phonemes.
    phonemes: without times if the voice does not predict them.
    """

    message: str = ""
    wav: bytes | None = None
    figure: str = ""
    phonemes: list[Row] = Factory(list)


def answer(voices: Voices, place: str, text: str, **how: Any) -> Answer:
    """Call `Voices.say`; a UserError becomes the message."""
    try:
        said = voices.say(place, text, **how)
    except UserError as error:
        return Answer(message=error_message(error))
    waveform = said.waveform
    header = wav_header(waveform.sample_rate, samples=len(waveform.samples))
    return Answer(
        message=_remark(waveform),
        wav=header + pcm16(waveform.samples).tobytes(),
        figure=figure(waveform, said.audio),
        phonemes=list(_rows(said)),
    )


def error_message(error: UserError) -> str:
    """An error message as HTML."""
    return _BOX.format(role="alert", colour="#d33", text=escape(str(error)))


def _remark(waveform: Waveform) -> str:
    clipped = int((np.abs(waveform.samples) > 1).sum())
    if not clipped:
        return ""
    text = f"{clipped:,} of {len(waveform.samples):,} samples exceeded full scale and were clipped."
    return _BOX.format(role="status", colour="#d93", text=text)


def _rows(said: Said) -> Iterator[Row]:
    if said.waveform.phonemes is None:
        for sentence in said.script:
            yield from ((symbol, None, None) for symbol in sentence.symbols)
        return
    for one in said.waveform.phonemes:
        yield one.symbol, round(one.start, 3), round(1000 * (one.end - one.start), 1)
