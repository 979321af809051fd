"""Loading the vocoder for a model of mels, refusing one that was made for other mels, and applying it.

B batch, N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allophone.audio.mel_files import check_mel
from allophone.audio.melspec import MelSpec
from allophone.config import structure, unstructure
from allophone.errors import UserError
from allophone.inference.locate import find_vocoder, untrained_vocoders
from allophone.inference.protocol import Mels, Speech, Vocoder, VocoderSpec
from allophone.registry import Registry
from allophone.synthesis.ledger import digest

FALLBACK = "griffin-lim"


def load_vocoder(
    place: str | Path, audio: MelSpec | None, *, device: torch.device, registry: Registry
) -> Vocoder:
    """The vocoder at `place` for mels of `audio`.

    place: the folder of a vocoder, a run that trained one, a checkpoint of it, or the name of one that
        needs no training.
    audio: None takes a trained vocoder for the mels that it was made for, and any other for those of
        `MelSpec()`.
    Raises UserError for what is not there, and, field by field, for a vocoder of other mels.
    """
    name = str(place)
    if name in untrained_vocoders(registry):
        config = registry.load("vocoders", name, "config")()
        spec, weights = VocoderSpec(vocoder=config, audio=audio or MelSpec()), {}
    else:
        stored = find_vocoder(place, registry).read(registry)
        spec, weights = stored.spec, dict(stored.weights)
        if audio is not None and (disagreement := spec.audio.differences(audio)):
            raise UserError(
                f"The vocoder {place} was made for other mel spectrograms than the voice makes:\n"
                + "\n".join(f"  {line}" for line in disagreement),
                hint="Use a vocoder that was trained on mels of the voice's [audio], or "
                f"--vocoder {FALLBACK}.",
            )
        name = registry.entry_of("vocoders", spec.vocoder).name
    vocoder: Vocoder = registry.load("vocoders", name, "vocoder")(spec, weights, device)
    return vocoder


def adjust(
    vocoder: Vocoder, given: Mapping[str, Any], registry: Registry, *, called: str
) -> Vocoder:
    """The vocoder with some of its controls set; the same where nothing is given.

    Raises UserError for a vocoder that has none, ConfigError for unknown ones, with near misses, and for
    values that are not valid.
    """
    if not given:
        return vocoder
    now = getattr(vocoder, "controls", None)
    if now is None:
        raise UserError(
            f"The vocoder {called} has no controls, and {', '.join(given)} was to be set.",
            hint="Leave it out.",
        )
    controls = structure(
        type(now),
        {**unstructure(now, registry=registry), **given},
        where=f"A control of the vocoder {called}",
        registry=registry,
    )
    adjusted: Vocoder = vocoder.adjusted(controls)  # type: ignore[attr-defined]
    return adjusted


def controls_of(vocoder: Vocoder | None, registry: Registry) -> dict[str, Any]:
    """The controls of a vocoder as plain data; empty where it has none."""
    controls = getattr(vocoder, "controls", None)
    return {} if controls is None else unstructure(controls, registry=registry)


def apply_vocoder(vocoder: Vocoder, mels: Mels) -> Speech:
    """The waveforms of mels: `hop_length` samples a frame.

    UserError for what can't be mels of the vocoder: transposed, of other bands, empty, with NaN.
    """
    check_mel(mels.mel, vocoder.audio)
    hop_length = vocoder.audio.hop_length
    return Speech(
        waveform=vocoder.vocode(mels.mel, mels.lengths),
        lengths=mels.lengths * hop_length,
        durations=mels.durations,
    )


def stream_vocoder(vocoder: Vocoder, mels: Mels) -> Iterator[Tensor]:
    """The waveform of one mel (B = 1) in chunks [N], which join to exactly what `apply_vocoder` gives.

    A vocoder that cannot stream gives all at once. Errors as those of `apply_vocoder`.
    """
    stream = getattr(vocoder, "stream", None)
    if stream is None:
        speech = apply_vocoder(vocoder, mels)
        yield speech.waveform[0, : int(speech.lengths[0])]
        return
    check_mel(mels.mel, vocoder.audio)
    yield from stream(mels.mel[:, :, : int(mels.lengths[0])])


def fingerprint(place: str | Path, registry: Registry) -> str:
    """What tells a vocoder from others: the digest of its weights, or its name where it has none."""
    name = str(place)
    if name in untrained_vocoders(registry):
        return name
    return digest(find_vocoder(place, registry).weights)
