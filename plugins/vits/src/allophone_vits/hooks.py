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
        name="vits",
        summary="VITS (Kim et al. 2021): text straight to a waveform, one model, many speakers.",
        config="allophone_vits.config:VitsConfig",
        synthesizer="allophone_vits.synthesis:build_synthesizer",
        importers=importers(
            "allophone_vits.importers",
            {
                "piper": "A voice of Piper: NAME.onnx beside NAME.onnx.json.",
                "piper-checkpoint": "A training checkpoint of Piper: .ckpt.",
                "jaywalnut310": "A checkpoint of the reference: G_<step>.pth.",
                "amphion": "An experiment of Amphion's VITS recipe.",
            },
        ),
        exporters=(
            ExporterEntry(
                name="onnx",
                summary="An ONNX file that Piper's programs play, and its JSON file.",
                exporter="allophone_vits.exporters.voices:export_voice",
                streaming="allophone_vits.exporters.voices:export_streaming_voice",
            ),
        ),
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="vits",
        summary="VITS's own: adversarial, with feature matching, mel, KL and duration losses.",
        config="allophone_vits.config:VitsTrainerConfig",
        objective="allophone_vits.objective:VitsObjective",
        trains="vits",
        inference_module="generator",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "vits",
        "allophone_vits",
        {
            "ljspeech": "The published model of one English speaker, 22.05 kHz.",
            "vctk": "The published model of 109 English speakers, 22.05 kHz.",
            "libritts": "More than a thousand English readers, 24 kHz.",
            "festvox-ru": "One Russian speaker out of a Debian package, 16 kHz.",
            "tiny": "Under a million parameters: minutes on a CPU.",
        },
    )
