"""Whether files look like a voice of this engine. Light: called for every voice."""

from __future__ import annotations

from pathlib import Path

_ENCODER = "encoder.onnx"


def recognises(place: Path) -> bool:
    """Whether `place` looks like an ONNX file, or like the folder of a voice in three parts."""
    return place.suffix == ".onnx" if place.is_file() else (place / _ENCODER).is_file()
