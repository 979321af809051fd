"""Finding the vocoder for a model that makes mels, and refusing one that was made for other mels."""

from __future__ import annotations

from pathlib import Path

import torch

from allophone.audio.melspec import MelSpec
from allophone.config import unstructure
from allophone.errors import UserError
from allophone.registry import Registry
from allophone.synthesis.places import find_vocoder, untrained_vocoders
from allophone.synthesis.protocol import Mels, Speech, Vocoder, VocoderSpec

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
        name = unstructure(stored.description, registry=registry)["vocoder"]["type"]
    vocoder: Vocoder = registry.load("vocoders", name, "vocoder")(spec, weights, device)
    return vocoder


def vocode(vocoder: Vocoder, mels: Mels) -> Speech:
    """Make mels heard: `hop_length` samples a frame."""
    hop_length = vocoder.audio.hop_length
    return Speech(
        waveform=vocoder.vocode(mels.mel, mels.lengths),
        lengths=mels.lengths * hop_length,
        durations=mels.durations,
    )
