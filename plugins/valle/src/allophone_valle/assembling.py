"""Assemble a voice from the runs of both stages and their codec."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from attrs import evolve

from allophone.errors import UserError
from allophone.inference.folder import StoredVoice, write_vocoder, write_voice
from allophone.inference.locate import find_vocoder
from allophone.registry import default_registry
from allophone.weights.files import add_prefix
from allophone_valle.codec_config import FAKE, PUBLISHED
from allophone_valle.config import ValleConfig
from allophone_valle.sample_decoding import open_model_codec

_STAGES = ("ar", "nar")
_CODEC = "codec"

_log = logging.getLogger(__name__)


def assemble(stages: Mapping[str, StoredVoice], destination: Path) -> None:
    """Write a voice folder from the stages "ar" and "nar"; the assembler of the model `valle`.

    A codec trained with Allophone is copied into the folder. The published EnCodec is not, because of its
    licence; the voice stores its fingerprint. Raises UserError if a stage is missing or the codec does
    not fit.
    """
    if missing := [name for name in _STAGES if name not in stages]:
        raise UserError(
            f"No run of the stage '{missing[0]}' given; a VALL-E voice needs both 'ar' and 'nar'.",
            hint="allophone import runs/ar runs/nar voices/mine",
        )
    voice = stages["ar"]
    model = voice.description.model
    assert isinstance(model, ValleConfig)
    bundled = model.codec.place not in (PUBLISHED, FAKE)
    codec = evolve(
        model.codec,
        place=_CODEC if bundled else model.codec.place,
        fingerprint=_fingerprint(voice, model),
    )
    description = evolve(voice.description, model=evolve(model, codec=codec))
    weights = {
        name: tensor
        for stage in _STAGES
        for name, tensor in add_prefix(stages[stage].weights, stage).items()
    }
    write_voice(destination, evolve(voice, description=description, weights=weights))
    if bundled:
        found = find_vocoder(model.codec.place, default_registry())
        write_vocoder(destination / _CODEC, found.read(default_registry()))


def _fingerprint(voice: StoredVoice, model: ValleConfig) -> str | None:
    """Fingerprint of the codec; the configured one, with a warning, if EnCodec cannot be opened."""
    try:
        codec = open_model_codec(model, voice.description.audio, device=torch.device("cpu"))
    except UserError as error:
        if model.codec.place != PUBLISHED:
            raise
        _log.warning("Cannot open EnCodec to record its fingerprint in the voice: %s", error)
        return model.codec.fingerprint
    return codec.fingerprint
