"""The entries of this plugin. Light: does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import RecipeEntry, TrainerEntry, VocoderEntry, importers, recipes
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_vocoders() -> Iterator[VocoderEntry]:
    yield VocoderEntry(
        name="diffwave",
        summary="DiffWave (Kong et al. 2021): a diffusion vocoder.",
        config="allophone_diffwave.config:DiffwaveConfig",
        vocoder="allophone_diffwave.vocoder:build_vocoder",
        importers=importers(
            "allophone_diffwave.importers",
            {
                "lmnt": "A checkpoint of the package diffwave: weights.pt.",
                "amphion": "A checkpoint of Amphion's DiffWave recipe, with args.json.",
            },
        ),
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="diffwave",
        summary="The training of DiffWave: an L1 loss on the predicted noise.",
        config="allophone_diffwave.config:DiffwaveTrainerConfig",
        objective="allophone_diffwave.objective:DiffwaveObjective",
        trains="diffwave",
        inference_module="denoiser",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "diffwave",
        "allophone_diffwave",
        {
            "ljspeech": "The published base model of one English speaker, 22.05 kHz, 80 mels.",
            "libritts": "The base model on more than a thousand readers, 24 kHz, 100 mels up to 12 kHz.",
            "festvox-ru": "The base model of one Russian speaker, 16 kHz, 80 mels up to 8 kHz.",
            "tiny": "A small model that trains in an hour on a CPU, 16 kHz, 80 mels.",
        },
    )
