"""Joining a Piper voice with another decoder: the voice in three parts that results.

So a package of a distilled voice need only hold the decoder, and take the rest from that of its teacher.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from attrs import asdict, evolve

from allophone.files.atomic import atomic_folder
from allophone.registry import Registry, default_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone_onnx.cutting import cut
from allophone_onnx.engine import OnnxControls
from allophone_onnx.preparing import rewritten_encoder
from allophone_onnx.schema import Model
from allophone_onnx.settings import (
    DECODER,
    ENCODER,
    FLOW,
    PARTS,
    SETTINGS,
    read_settings,
    settings_beside,
    write_settings,
)


def replace_decoder(
    voice: Path,
    decoder: Path,
    destination: Path,
    *,
    decoder_margin: int,
    about: About,
    registry: Registry | None = None,
) -> None:
    """Write the folder of a voice in three parts: `voice`, a Piper voice, with the graph `decoder`.

    decoder: from latents [B, C, F] to output [B, 1, 1, N]; decoder_margin: the context it needs, in frames.
    Raises UserError if `destination` exists, and CannotCutError if `voice` is not the graph of a VITS.
    """
    registry = registry or default_registry()
    parts = cut(Model.FromString(voice.read_bytes()))
    settings = read_settings(settings_beside(voice), registry)
    description = VoiceDescription(
        about=about,
        audio=settings.audio(hop_length=parts.hop_length),
        text=settings.text,
        controls=settings.controls,
    )
    written = write_settings(
        description, settings.vocabulary, OnnxControls(**settings.controls), registry
    )
    written[PARTS] = asdict(evolve(parts.settings, decoder_margin=decoder_margin))
    with atomic_folder(destination) as folder:
        encoder = rewritten_encoder(parts.encoder, source=voice)
        (folder / ENCODER).write_bytes(encoder.SerializeToString())
        (folder / FLOW).write_bytes(parts.flow.SerializeToString())
        shutil.copyfile(decoder, folder / DECODER)
        content = json.dumps(written, ensure_ascii=False, indent=1)
        (folder / SETTINGS).write_text(f"{content}\n", encoding="utf-8")
