"""Piper's voices: `NAME.onnx`, with `NAME.onnx.json` beside it."""

from __future__ import annotations

import math
from pathlib import Path

from allophone.inference.folder import StoredVoice, write_voice
from allophone.synthesis.description import About
from allophone_onnx.settings import read_settings, settings_beside
from allophone_vits.importers.checkpoint import ReferenceCheckpoint, voice_of
from allophone_vits.importers.piper_onnx import read_graph


def recognises(source: Path) -> bool:
    """Whether `source` looks like a Piper voice."""
    return source.suffix == ".onnx" and source.with_name(f"{source.name}.json").is_file()


def import_checkpoint(source: Path, destination: Path) -> None:
    """Write the voice folder of a Piper voice: `source` is its ONNX file."""
    write_voice(destination, read_voice(source))


def read_voice(source: Path, about: About | None = None) -> StoredVoice:
    """A Piper voice as one of ours; it lacks what only training and voice conversion use.

    about: unless given, what its JSON file says, which files of others do not.
    """
    settings = read_settings(settings_beside(source))
    about = about or settings.about or About(name=source.stem, licence="not stated")
    graph = read_graph(source)
    checkpoint = ReferenceCheckpoint(
        generator=graph.tensors,
        inference_only=True,
        upsample_rates=graph.upsample_rates,
        residual_dilations=graph.residual_dilations,
        audio=settings.audio(hop_length=math.prod(graph.upsample_rates)),
        text=settings.text,
        vocabulary=settings.vocabulary,
        controls=settings.controls,
    )
    return voice_of(checkpoint, about)
