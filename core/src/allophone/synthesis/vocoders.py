"""Finding the vocoder for a model that makes mels, and refusing one that was made for other mels."""

from __future__ import annotations

from pathlib import Path

import torch

from allophone.audio.melspec import MelSpec
from allophone.config import unstructure
from allophone.errors import UserError, near_miss
from allophone.registry import Registry
from allophone.synthesis.folder import VOCODER, read_vocoder
from allophone.synthesis.protocol import Mels, Speech, Vocoder, VocoderSpec

FALLBACK = "griffin-lim"


def load_vocoder(
    place: str | Path, audio: MelSpec, *, device: torch.device, registry: Registry
) -> Vocoder:
    """The vocoder at `place` for mels of `audio`.

    place: the folder of a vocoder, or the name of one that needs no training.
    Raises UserError for what is not there, and, field by field, for a vocoder of other mels.
    """
    path = Path(place)
    if (path / VOCODER).is_file():
        stored = read_vocoder(path, registry)
        spec, weights = stored.spec, stored.weights
        disagreement = spec.audio.differences(audio)
        if disagreement:
            raise UserError(
                f"The vocoder {place} was made for other mel spectrograms than the voice makes:\n"
                + "\n".join(f"  {line}" for line in disagreement),
                hint="Use a vocoder that was trained on mels of the voice's [audio], or "
                f"--vocoder {FALLBACK}.",
            )
        name = unstructure(stored.description, registry=registry)["vocoder"]["type"]
    else:
        name = str(place)
        untrained = [
            name for name, entry in registry.entries("vocoders").items() if not entry.needs_weights
        ]
        if name not in untrained:
            raise UserError(
                f"{place} is neither the folder of a vocoder nor one that needs no training.",
                hint=near_miss(name, untrained),
            )
        spec = VocoderSpec(vocoder=registry.load("vocoders", name, "config")(), audio=audio)
        weights = {}
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
