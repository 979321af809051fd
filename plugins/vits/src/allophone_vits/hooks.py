"""What this plugin offers. Light: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import ImporterEntry, ModelEntry, VoiceEntry
from allophone.hookspecs import hookimpl


@hookimpl
def allophone_models() -> Iterator[ModelEntry]:
    yield ModelEntry(
        name="vits",
        summary="VITS (Kim et al. 2021): text straight to a waveform, one model, many speakers.",
        config="allophone_vits.config:VitsConfig",
        synthesizer="allophone_vits.synthesis:build_synthesizer",
        importers=(
            ImporterEntry(
                name="piper",
                summary="A voice of Piper: NAME.onnx beside NAME.onnx.json.",
                importer="allophone_vits.importers.piper:import_voice",
                recognises="allophone_vits.importers.piper:recognises_voice",
            ),
        ),
    )


@hookimpl
def allophone_voices() -> Iterator[VoiceEntry]:
    yield VoiceEntry(
        name="joe",
        summary="An American English man, 22.05 kHz (the extra allophone-vits[joe]).",
        language="en-us",
        licence="CC0-1.0 (data), MIT (package)",
        locate="allophone_vits.joe:locate",
    )
