"""Export of VITS2 voices to ONNX with the exporter of VITS; see `allophone_vits.exporters.voices`."""

from __future__ import annotations

from pathlib import Path

from allophone.inference.folder import StoredVoice
from allophone_vits.exporters.voices import write_streaming_voice, write_voice
from allophone_vits.synthesis import inference_model
from allophone_vits2.model import Vits2


def export_voice(voice: StoredVoice, destination: Path) -> None:
    """Export a voice to one ONNX file, for Piper and `allophone say`."""
    write_voice(inference_model(Vits2, voice.spec, voice.weights), voice, destination)


def export_streaming_voice(voice: StoredVoice, destination: Path) -> None:
    """Export a voice to three parts, for `allophone say --stream`."""
    write_streaming_voice(inference_model(Vits2, voice.spec, voice.weights), voice, destination)
