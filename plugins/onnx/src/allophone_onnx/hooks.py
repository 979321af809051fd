"""The entries of this plugin: the engine `onnx`. Light."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import EngineEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_engines() -> Iterator[EngineEntry]:
    yield EngineEntry(
        name="onnx",
        summary="Runs exported voices and Piper voices with onnxruntime, without PyTorch.",
        engine="allophone_onnx.engine:load",
        recognises="allophone_onnx.recognition:recognises",
        light=True,
    )
