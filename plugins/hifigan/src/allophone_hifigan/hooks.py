"""The entries of this plugin. Light: does not import torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import RecipeEntry, TrainerEntry, VocoderEntry, importers, recipes
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_vocoders() -> Iterator[VocoderEntry]:
    yield VocoderEntry(
        name="hifigan",
        summary="HiFi-GAN (Kong et al. 2020): a fast convolutional GAN vocoder.",
        config="allophone_hifigan.config:HifiganConfig",
        vocoder="allophone_hifigan.vocoder:build_vocoder",
        importers=importers(
            "allophone_hifigan.importers",
            {
                "jik876": "A checkpoint of the reference implementation: g_<step>, with config.json.",
                "amphion": "A checkpoint of Amphion's HiFi-GAN recipe, with args.json.",
                "coqui": "A HiFi-GAN of Coqui: NAME.pth, with config.json.",
            },
        ),
    )
    yield VocoderEntry(
        name="hifigan.istft",
        summary="iSTFTNet (Kaneko et al. 2022): HiFi-GAN whose last stages are an inverse STFT; multi-band too.",
        config="allophone_hifigan.config:IstftConfig",
        vocoder="allophone_hifigan.vocoder:build_vocoder",
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="hifigan",
        summary="The training of HiFi-GAN: adversarial, feature matching and mel losses.",
        config="allophone_hifigan.config:HifiganTrainerConfig",
        objective="allophone_hifigan.objective:HifiganObjective",
        trains="hifigan",
        inference_module="generator",
    )
    yield TrainerEntry(
        name="hifigan.istft",
        summary="The training of HiFi-GAN for iSTFTNet; with several bands, a loss of the bands too.",
        config="allophone_hifigan.config:IstftTrainerConfig",
        objective="allophone_hifigan.objective:IstftObjective",
        trains="hifigan.istft",
        inference_module="generator",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "hifigan",
        "allophone_hifigan",
        {
            "ljspeech": "The published V1 of one English speaker, 22.05 kHz, 80 mels up to 8 kHz.",
            "vctk": "The published V1 of 109 English speakers, 22.05 kHz, 80 mels up to 8 kHz.",
            "libritts": "V1 on more than a thousand English readers, 24 kHz, 100 mels.",
            "festvox-ru": "V1 on one Russian speaker, from a Debian package, 16 kHz, 80 mels.",
            "istft-ljspeech": "iSTFTNet C8C8I of one English speaker, 22.05 kHz, 80 mels up to 8 kHz.",
            "istft-tiny": "A small iSTFTNet that trains in minutes on a CPU, 16 kHz, 80 mels.",
            "tiny": "A small model that trains in minutes on a CPU, 16 kHz, 80 mels.",
        },
    )
