"""Hook implementations of the plugin. Imports no torch."""

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
        summary="VITS2 (Kong et al. 2023): VITS with a transformer flow and adversarial durations.",
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
                summary="An ONNX file and its JSON file, compatible with Piper.",
                exporter="allophone_vits2.exporters:export_voice",
                streaming="allophone_vits2.exporters:export_streaming_voice",
            ),
        ),
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="vits2",
        summary="VITS training with noise in the alignment search and a duration discriminator.",
        config="allophone_vits2.config:Vits2TrainerConfig",
        objective="allophone_vits2.objective:Vits2Objective",
        trains="vits2",
        inference_module="generator",
    )
    yield TrainerEntry(
        name="vits2.distill",
        summary="A student decoder learns from a teacher's speech, as with vits.distill.",
        config="allophone_vits2.config:Vits2DistillTrainerConfig",
        objective="allophone_vits2.distillation:Vits2DistillObjective",
        trains="vits2",
        inference_module="generator",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "vits2",
        "allophone_vits2",
        {
            "ljspeech-nosdp": "One English speaker, 22.05 kHz; the recommended model.",
            "ljspeech-sdp": "As ljspeech-nosdp, with the stochastic duration predictor of VITS.",
            "vctk": "109 English speakers, 22.05 kHz, with a speaker-conditioned text encoder.",
            "vctk-standard": "As vctk, with the public implementation's standard settings: stochastic durations.",
            "festvox-ru": "One Russian speaker from a Debian package, 16 kHz.",
            "tiny": "Under a million parameters; trains in minutes on a CPU.",
        },
    )
