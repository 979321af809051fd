"""What this plugin offers: the engine `onnx`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import EngineEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_engines() -> Iterator[EngineEntry]:
    yield EngineEntry(
        name="onnx",
        summary="Exported voices and those of Piper, through onnxruntime, without PyTorch.",
        engine="allophone_onnx.engine:load",
        recognises="allophone_onnx.recognition:recognises",
        light=True,
    )
