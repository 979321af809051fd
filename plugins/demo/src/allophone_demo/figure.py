"""The figure of the page: a mel spectrogram with the phonemes below.

M mel bands, F frames, K frequency bins.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from allophone.audio.melspec import MelSpec
from allophone.synthesis.waveform import PhonemeTiming, Waveform
from allophone_demo.mel_filters import filter_bank

_LEAST_WIDTH = 1160
_WIDTH_OF_A_SECOND = 180
_HEIGHT = 200
_BELOW = 44
"""Pixels for the phonemes and the seconds below the mel."""

_TICKS = (0.1, 0.2, 0.5, 1.0)
_TICK_WIDTH = 60
_DECIBELS = 80
"""Dynamic range of the colour map."""

_COLOURS = np.array([[10, 12, 40], [84, 28, 116], [196, 60, 86], [250, 152, 56], [252, 246, 190]])


def figure(waveform: Waveform, audio: MelSpec) -> str:
    """An SVG image of speech, for an HTML page.

    Shows the mel spectrogram with the bands of `audio`, always in decibels; below it the phonemes, if
    the voice predicts their times, and a time axis.
    """
    seconds = waveform.seconds
    width = max(_LEAST_WIDTH, round(_WIDTH_OF_A_SECOND * seconds))
    scale = width / seconds
    png = base64.b64encode(_png(decibels(waveform, audio))).decode()
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" '
        f'height="{_HEIGHT + _BELOW}" font-family="sans-serif" font-size="12" text-anchor="middle" '
        f'fill="currentColor"><title>Mel spectrogram of {seconds:.2f} s</title>',
        f'<image href="data:image/png;base64,{png}" width="{width}" height="{_HEIGHT}" '
        'preserveAspectRatio="none"/>',
        *_phonemes(waveform.phonemes or (), scale),
        *_seconds(seconds, scale),
        "</svg>",
    ]
    return f'<div style="overflow-x: auto">{"".join(parts)}</div>'


def decibels(waveform: Waveform, audio: MelSpec) -> NDArray[np.float32]:
    """The mel spectrogram of a waveform [M, F] in decibels relative to its maximum.

    In NumPy, so that engines without PyTorch can be shown without it. Frames and bands are those
    of `audio`; its logarithm, gain and clipping are ignored.
    """
    missing = max(0, audio.min_samples - len(waveform.samples))
    mode: Literal["reflect", "constant"] = "reflect" if audio.padding == "reflect" else "constant"
    padded = np.pad(np.pad(waveform.samples, (0, missing)), audio.pad_length, mode=mode)
    frames = np.lib.stride_tricks.sliding_window_view(padded, audio.n_fft)[:: audio.hop_length]
    spectrum = np.fft.rfft(frames * _window(audio))
    power = np.abs(spectrum) ** 2 + audio.magnitude_epsilon
    mel = filter_bank(audio) @ (power ** (audio.power / 2)).T
    found = 20 / audio.power * np.log10(np.maximum(mel, audio.log_floor))
    return (found - found.max()).astype(np.float32)


def _window(audio: MelSpec) -> NDArray[np.float64]:
    """A Hann window, centred in the FFT frame."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(audio.win_length) / audio.win_length)
    if audio.normalize_window:
        window /= np.linalg.norm(window)
    before = (audio.n_fft - audio.win_length) // 2
    return np.pad(window, (before, audio.n_fft - audio.win_length - before))


def _png(mel: NDArray[np.float32]) -> bytes:
    """Decibels [M, F] as a PNG image, with the highest band on top."""
    levels = (1 + mel[::-1] / _DECIBELS).clip(0, 1)
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(levels, stops, colours) for colours in _COLOURS.T]
    file = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8)).save(file, format="png")
    return file.getvalue()


def _phonemes(timings: Sequence[PhonemeTiming], scale: float) -> Iterator[str]:
    for one in timings:
        begin, end = one.start * scale, one.end * scale
        yield (
            f"<g><title>{escape(one.symbol)}: {one.start:.2f} to {one.end:.2f} s</title>"
            f'<line x1="{begin:.1f}" x2="{begin:.1f}" y1="0" y2="{_HEIGHT}" stroke="white" '
            f'stroke-opacity="0.25"/>'
            f'<text x="{(begin + end) / 2:.1f}" y="{_HEIGHT + 16}">{escape(one.symbol)}</text></g>'
        )


def _seconds(seconds: float, scale: float) -> Iterator[str]:
    step = next((tick for tick in _TICKS if tick * scale >= _TICK_WIDTH), _TICKS[-1])
    last = seconds - _TICK_WIDTH / 2 / scale
    for index in range(1, int(last / step) + 1):
        x = index * step * scale
        yield (
            f'<text x="{x:.1f}" y="{_HEIGHT + 38}" fill-opacity="0.6">{index * step:.1f} s</text>'
        )
