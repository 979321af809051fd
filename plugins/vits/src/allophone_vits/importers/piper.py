"""Importer of Piper's voices: `NAME.onnx` and `NAME.onnx.json`."""

from __future__ import annotations

import math
from pathlib import Path

from allophone.inference.folder import StoredVoice, write_voice
from allophone.synthesis.description import About
from allophone_onnx.settings import read_settings, settings_beside
from allophone_vits.importers.checkpoint import ReferenceCheckpoint, build_voice
from allophone_vits.importers.piper_onnx import read_graph


def recognises(source: Path) -> bool:
    """Whether `source` looks like a Piper voice."""
    return source.suffix == ".onnx" and source.with_name(f"{source.name}.json").is_file()


def import_checkpoint(source: Path, destination: Path) -> None:
    """Convert a Piper voice to a voice folder; `source` is its ONNX file."""
    write_voice(destination, read_voice(source))


def read_voice(source: Path, about: About | None = None) -> StoredVoice:
    """Read a Piper voice; it lacks the weights that only training and voice conversion use.

    about: by default, taken from the JSON file if it was exported by Allophone.
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
    return build_voice(checkpoint, about)
