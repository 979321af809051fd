"""The entries of this plugin. Light: does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import RecipeEntry, TrainerEntry, VocoderEntry, recipes
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_vocoders() -> Iterator[VocoderEntry]:
    yield VocoderEntry(
        name="vocos",
        summary="Vocos (Siuzdak 2023): ConvNeXt blocks at the rate of frames and an inverse STFT.",
        config="allophone_vocos.config:VocosConfig",
        vocoder="allophone_vocos.vocoder:build_vocoder",
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="vocos",
        summary="The training of Vocos: spectral losses, later adversarial and feature matching losses.",
        config="allophone_vocos.config:VocosTrainerConfig",
        objective="allophone_vocos.objective:VocosObjective",
        trains="vocos",
        inference_module="generator",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "vocos",
        "allophone_vocos",
        {
            "ljspeech": "One English speaker, 22.05 kHz, 80 mels up to 8 kHz.",
            "tiny": "A small model that trains in minutes on a CPU, 16 kHz, 80 mels.",
        },
    )
