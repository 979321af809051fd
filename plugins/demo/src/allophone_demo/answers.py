"""The result of a request to the page: audio and figure, or an error message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

import numpy as np
from attrs import Factory, frozen

from allophone.audio.wav import pcm16, wav_header
from allophone.errors import UserError
from allophone.files.parsing import why_not_text
from allophone.synthesis.waveform import Waveform
from allophone_demo.figure import figure
from allophone_demo.knobs import number, whole_number
from allophone_demo.voices import Said, Voices

Row = tuple[str, float | None, float | None]
"""A phoneme, its start in seconds, and its duration in milliseconds."""

_LAST_SEED = 2**63 - 1
_LONGEST_PAUSE = 60.0

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


def answer(
    voices: Voices,
    place: str,
    text: object,
    *,
    seed: object = None,
    pause: object,
    controls: Callable[[], Mapping[str, Any]],
    prompt_audio: str | None = None,
    prompt_text: object = None,
    **names: object,
) -> Answer:
    """Check what a browser has sent, which may be anything, and call `Voices.say`; a UserError becomes the message.

    controls: returns the controls, or raises UserError. names: speaker, language and vocoder.
    """
    try:
        said = voices.say(
            place,
            _text("text", text) or "",
            seed=0 if seed is None else whole_number("seed", seed, _LAST_SEED),
            pause=number("pause", pause, 0, _LONGEST_PAUSE),
            controls=controls(),
            prompt_audio=prompt_audio,
            prompt_text=_text("transcript", prompt_text) or "",
            **{name: _text(name, value) for name, value in names.items()},
        )
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


def _text(name: str, value: object) -> str | None:
    if value is not None and (wrong := why_not_text(value)):
        raise UserError(f"The {name} {wrong}.")
    return value  # type: ignore[return-value]


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
