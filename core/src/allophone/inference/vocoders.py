"""Loads vocoders, checks that they match the mels of a model, and applies them. B batch, N samples."""

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
from allophone.weights.loading import bounded_by

FALLBACK = "griffin-lim"


def load_vocoder(
    place: str | Path, audio: MelSpec | None, *, device: torch.device, registry: Registry
) -> Vocoder:
    """Load a vocoder for mels of `audio`.

    place: a vocoder folder, a run, a checkpoint, or the name of a vocoder that needs no training.
    audio: None accepts the MelSpec of a trained vocoder; vocoders that need no training use `MelSpec()`.

    Raises UserError if there is no such vocoder, or if its MelSpec differs from `audio`, listing each field.
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
                f"The MelSpec of the vocoder {place} does not match that of the voice:\n"
                + "\n".join(f"  {line}" for line in disagreement),
                hint="Use a vocoder trained on mels of the voice's [audio], or "
                f"--vocoder {FALLBACK}.",
            )
        name = registry.entry_of("vocoders", spec.vocoder).name
    build = registry.load("vocoders", name, "vocoder")
    with bounded_by(weights, where=f"the vocoder {place}"):
        vocoder: Vocoder = build(spec, weights, device)
    return vocoder


def override_controls(
    vocoder: Vocoder, given: Mapping[str, Any], registry: Registry, *, name: str
) -> Vocoder:
    """Return the vocoder with some of its controls changed, or the vocoder itself if none are given.

    name: the name of the vocoder, for messages.

    Raises UserError if the vocoder has no controls, and ConfigError for unknown controls, with suggestions,
    and for invalid values.
    """
    if not given:
        return vocoder
    now = getattr(vocoder, "controls", None)
    if now is None:
        raise UserError(
            f"The vocoder {name} has no controls, but {', '.join(given)} was given.",
            hint="Omit --control or --vocoder-control.",
        )
    controls = structure(
        type(now),
        {**unstructure(now, registry=registry), **given},
        where=f"A control of the vocoder {name}",
        registry=registry,
    )
    adjusted: Vocoder = vocoder.with_controls(controls)  # type: ignore[attr-defined]
    return adjusted


def controls_of(vocoder: Vocoder | None, registry: Registry) -> dict[str, Any]:
    """Return the controls of a vocoder as plain data; empty if it has none."""
    controls = getattr(vocoder, "controls", None)
    return {} if controls is None else unstructure(controls, registry=registry)


def apply_vocoder(vocoder: Vocoder, mels: Mels) -> Speech:
    """Convert mels to waveforms, `hop_length` samples per frame.

    Raises UserError for invalid mels: transposed, with another number of bands, empty, or with NaN.
    """
    check_mel(mels.mel, vocoder.audio)
    hop_length = vocoder.audio.hop_length
    return Speech(
        waveform=vocoder.vocode(mels.mel, mels.lengths),
        lengths=mels.lengths * hop_length,
        durations=mels.durations,
    )


def stream_vocoder(vocoder: Vocoder, mels: Mels) -> Iterator[Tensor]:
    """Yield the waveform of one mel (B = 1) in chunks [N]; a vocoder that cannot stream yields one chunk.

    Concatenated, the chunks equal the output of `apply_vocoder`. Raises the same errors.
    """
    stream = getattr(vocoder, "stream", None)
    if stream is None:
        speech = apply_vocoder(vocoder, mels)
        yield speech.waveform[0, : int(speech.lengths[0])]
        return
    check_mel(mels.mel, vocoder.audio)
    yield from stream(mels.mel[:, :, : int(mels.lengths[0])])


def fingerprint(place: str | Path, registry: Registry) -> str:
    """Return the digest of a vocoder's weights, or its name if it needs no training."""
    name = str(place)
    if name in untrained_vocoders(registry):
        return name
    return digest(find_vocoder(place, registry).weights)
