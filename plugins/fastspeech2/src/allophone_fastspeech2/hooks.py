"""Hook implementations of the plugin. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import ModelEntry, RecipeEntry, TrainerEntry, importers, recipes
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_models() -> Iterator[ModelEntry]:
    yield ModelEntry(
        name="fastspeech2",
        summary="FastSpeech 2 (Ren et al. 2021): non-autoregressive text to mel, with control of "
        "duration, pitch and energy.",
        config="allophone_fastspeech2.config:FastSpeech2Config",
        synthesizer="allophone_fastspeech2.synthesis:build_synthesizer",
        importers=importers(
            "allophone_fastspeech2.importers",
            {
                "ming024": "A checkpoint of ming024/FastSpeech2: STEP.pth.tar with its YAML files.",
                "amphion": "An experiment of Amphion's FastSpeech 2 recipe, with args.json.",
            },
        ),
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="fastspeech2",
        summary="FastSpeech 2 training: mel, duration, pitch, energy and alignment losses.",
        config="allophone_fastspeech2.config:FastSpeech2TrainerConfig",
        objective="allophone_fastspeech2.objective:FastSpeech2Objective",
        trains="fastspeech2",
        inference_module="model",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "fastspeech2",
        "allophone_fastspeech2",
        {
            "ljspeech": "One English speaker, 22.05 kHz, with learned durations.",
            "vctk": "109 English speakers, 22.05 kHz.",
            "libritts": "More than a thousand English speakers, 22.05 kHz.",
            "festvox-ru": "One Russian speaker from a Debian package, 16 kHz, with durations from its labels.",
            "tiny": "Less than two million parameters; trains in minutes on a CPU.",
        },
    )
