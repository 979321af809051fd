"""What this plugin offers. Light: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import (
    ExporterEntry,
    ModelEntry,
    RecipeEntry,
    TrainerEntry,
    importers,
    recipes,
)
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_models() -> Iterator[ModelEntry]:
    yield ModelEntry(
        name="vits2",
        summary="VITS2 (Kong et al. 2023): VITS with transformers in its flow, and steadier rhythm.",
        config="allophone_vits2.config:Vits2Config",
        synthesizer="allophone_vits2.synthesis:build_synthesizer",
        importers=importers(
            "allophone_vits2.importers",
            {
                "p0p4k": "A checkpoint of p0p4k/vits2_pytorch: G_<step>.pth.",
            },
        ),
        exporters=(
            ExporterEntry(
                name="onnx",
                summary="An ONNX file that Piper's programs play, and its JSON file.",
                exporter="allophone_vits2.exporters:export_voice",
                streaming="allophone_vits2.exporters:export_streaming_voice",
            ),
        ),
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="vits2",
        summary="VITS's, with noise on the alignment search and a discriminator of durations.",
        config="allophone_vits2.config:Vits2TrainerConfig",
        objective="allophone_vits2.objective:Vits2Objective",
        trains="vits2",
        inference_module="generator",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "vits2",
        "allophone_vits2",
        {
            "ljspeech-nosdp": "One English speaker, 22.05 kHz: the recommended model.",
            "ljspeech-sdp": "The same with the stochastic durations of VITS.",
            "vctk": "109 English speakers, 22.05 kHz, known to the text encoder too.",
            "vctk-standard": "The same as the public implementation's standard: stochastic durations.",
            "festvox-ru": "One Russian speaker out of a Debian package, 16 kHz.",
            "tiny": "Under a million parameters: minutes on a CPU.",
        },
    )
