"""Whether files look like a voice of this engine. Light: asked of every voice, whoever speaks it."""

from __future__ import annotations

from pathlib import Path

_ENCODER = "encoder.onnx"


def recognises(place: Path) -> bool:
    """Whether `place` looks like an ONNX file, or like the folder of a voice in parts."""
    return place.suffix == ".onnx" if place.is_file() else (place / _ENCODER).is_file()
