"""The location of the voice's files."""

from __future__ import annotations

from pathlib import Path


def locate() -> Path:
    """The folder of the voice in three parts, whose weights are stored as int8."""
    return Path(__file__).with_name("voice")
