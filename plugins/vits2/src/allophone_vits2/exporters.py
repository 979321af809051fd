"""Writing voices of VITS2 to ONNX, by VITS's exporter: see `allophone_vits.exporters.voices`."""

from __future__ import annotations

from pathlib import Path

from allophone.inference.folder import StoredVoice
from allophone_vits.exporters.voices import write_streaming_voice, write_voice
from allophone_vits.synthesis import speaking_model
from allophone_vits2.model import Vits2


def export_voice(voice: StoredVoice, destination: Path) -> None:
    """Write a voice as one ONNX file, for Piper's programs and `allophone say`."""
    write_voice(speaking_model(Vits2, voice.spec, voice.weights), voice, destination)


def export_streaming_voice(voice: StoredVoice, destination: Path) -> None:
    """Write a voice in three parts, for `allophone say --stream`."""
    write_streaming_voice(speaking_model(Vits2, voice.spec, voice.weights), voice, destination)
