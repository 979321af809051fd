"""One voice of the runs of both stages, and of the codec that it speaks through."""

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
from allophone.weights import add_prefix
from allophone_valle.codec_config import FAKE, PUBLISHED
from allophone_valle.config import ValleConfig
from allophone_valle.sample_decoding import open_fitting_codec

_STAGES = ("ar", "nar")
_CODEC = "codec"

_log = logging.getLogger(__name__)


def assemble(stages: Mapping[str, StoredVoice], destination: Path) -> None:
    """Write the voice folder of an "ar" and a "nar" that go together.

    A codec that was trained here is copied into it. One with terms of its own is not: the voice says
    which it needs.
    """
    if missing := [name for name in _STAGES if name not in stages]:
        raise UserError(
            f"There is no run of the stage '{missing[0]}', and VALL-E speaks with both.",
            hint="allophone import runs/ar runs/nar voices/mine",
        )
    voice = stages["ar"]
    model = voice.description.model
    assert isinstance(model, ValleConfig)
    carried = model.codec.place not in (PUBLISHED, FAKE)
    codec = evolve(
        model.codec,
        place=_CODEC if carried else model.codec.place,
        fingerprint=_fingerprint(voice, model),
    )
    description = evolve(voice.description, model=evolve(model, codec=codec))
    weights = {
        name: tensor
        for stage in _STAGES
        for name, tensor in add_prefix(stages[stage].weights, stage).items()
    }
    write_voice(destination, evolve(voice, description=description, weights=weights))
    if carried:
        found = find_vocoder(model.codec.place, default_registry())
        write_vocoder(destination / _CODEC, found.read(default_registry()))


def _fingerprint(voice: StoredVoice, model: ValleConfig) -> str | None:
    """That of the codec, where it is at hand."""
    try:
        codec = open_fitting_codec(model, voice.description.audio, device=torch.device("cpu"))
    except UserError as error:
        if model.codec.place != PUBLISHED:
            raise
        _log.warning("The voice does not say exactly which codec it needs: %s", error)
        return model.codec.fingerprint
    return codec.fingerprint
