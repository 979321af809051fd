"""From an order to encoded audio, step by step. All of it runs in the threads of the scheduler. N samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from attrs import fields_dict, frozen

from allophone.errors import UserError
from allophone.synthesis.engine import Samples
from allophone.synthesis.voice import Voice
from allophone.synthesis.waveform import PhonemeTiming
from allophone_serve.encoding import Encoder
from allophone_serve.voices import Speaker

LONGEST = 1800.0
"""Seconds of speech that a request may ask for: breaks in SSML are long and take few characters."""


@frozen(kw_only=True)
class Piece:
    """A piece of encoded audio.

    seconds: the speech that was synthesized for it.
    phonemes: when they are spoken, if this was asked for and the voice knows.
    """

    data: bytes
    seconds: float = 0.0
    phonemes: tuple[PhonemeTiming, ...] | None = None


def samples_of(
    who: Speaker, text: str, *, language: str | None = None, speed: float = 1.0, seed: int = 0
) -> Iterator[Samples]:
    """The speech [N] in chunks, as `Voice.stream`. Raises UserError as it does, and RuntimeError for NaN."""
    voice, controls = who.voice, speed_controls(who.voice, speed)
    for samples in voice.stream(
        text, speaker=who.speaker, language=language, seed=seed, **controls
    ):
        yield checked(samples, voice)


def checked(samples: Samples, voice: Voice) -> Samples:
    """The samples [N], which are finite. Raises RuntimeError if they are not."""
    if not np.isfinite(samples).all():
        raise RuntimeError(f"the voice '{voice.name}' generated NaN or infinite samples")
    return samples


def pieces(
    samples: Iterator[Samples], make_encoder: Callable[[], Encoder], rate: int
) -> Iterator[Piece]:
    """Encode speech chunk by chunk; the last piece has what the encoder kept back.

    Raises UserError for speech of more than `LONGEST` seconds.
    """
    encoder = make_encoder()
    seconds = 0.0
    for chunk in samples:
        seconds += len(chunk) / rate
        if seconds > LONGEST:
            raise UserError(f"The speech is longer than {LONGEST / 60:.0f} minutes.")
        yield Piece(data=encoder.encode(chunk), seconds=len(chunk) / rate)
    yield Piece(data=encoder.finish())


def speed_controls(voice: Voice, speed: float) -> dict[str, Any]:
    """The controls that make a voice `speed` times as fast. Raises UserError if it has none."""
    if speed == 1.0:
        return {}
    if "length_scale" not in fields_dict(voice.engine.controls):
        raise UserError(
            f"The voice '{voice.name}' cannot change its speed.", hint="Leave out speed."
        )
    scale = voice.controls({}).length_scale
    if isinstance(scale, tuple):
        return {"length_scale": tuple(one / speed for one in scale)}
    return {"length_scale": scale / speed}
