"""What the page shows of a text that was to be said: sound and picture, or what was wrong with it."""

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
"""A phoneme, when it begins in seconds, and how many milliseconds it lasts."""

_BOX = (
    '<div role="{role}" style="border-left: 4px solid {colour}; padding: 0.6em 1em; '
    'white-space: pre-wrap">{text}</div>'
)


@frozen(kw_only=True)
class Answer:
    """message: HTML; what went wrong, without all else, or a remark; empty where there is neither.

    wav: the bytes of a WAV file.
    figure: an SVG picture of the mel spectrogram and the phonemes.
    phonemes: without times where the voice does not tell them.
    """

    message: str = ""
    wav: bytes | None = None
    figure: str = ""
    phonemes: list[Row] = Factory(list)


def answer(voices: Voices, place: str, text: str, **how: Any) -> Answer:
    """Say a text as `Voices.say` does; what the user can put right is in the message."""
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
    """What went wrong, as HTML."""
    return _BOX.format(role="alert", colour="#d33", text=escape(str(error)))


def _remark(waveform: Waveform) -> str:
    clipped = int((np.abs(waveform.samples) > 1).sum())
    if not clipped:
        return ""
    text = f"{clipped:,} of {len(waveform.samples):,} samples were too loud, and are clipped."
    return _BOX.format(role="status", colour="#d93", text=text)


def _rows(said: Said) -> Iterator[Row]:
    if said.waveform.phonemes is None:
        for sentence in said.script:
            yield from ((symbol, None, None) for symbol in sentence.symbols)
        return
    for one in said.waveform.phonemes:
        yield one.symbol, round(one.start, 3), round(1000 * (one.end - one.start), 1)
