"""What this plugin offers. Light: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import (
    FeatureExtractorEntry,
    ModelEntry,
    RecipeEntry,
    TrainerEntry,
    VocoderEntry,
    importers,
    recipes,
)
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_models() -> Iterator[ModelEntry]:
    yield ModelEntry(
        name="valle",
        summary="VALL-E (Wang et al. 2023): language models of codes that speak in the voice of a "
        "recording.",
        config="allophone_valle.config:ValleConfig",
        synthesizer="allophone_valle.synthesis:build_synthesizer",
        assembler="allophone_valle.assembling:assemble",
        importers=importers(
            "allophone_valle.importers",
            {
                "lifeiteng": "A checkpoint of the reference: NAME.pt, with its *.k2symbols.",
                "amphion": "An experiment of Amphion's first VALL-E recipe, with args.json.",
            },
        ),
    )


@hookimpl
def allophone_feature_extractors() -> Iterator[FeatureExtractorEntry]:
    yield FeatureExtractorEntry(
        name="codes",
        summary="What the codec of [model.codec] makes of a recording.",
        config="allophone_valle.codec_config:CodesConfig",
        extractor="allophone_valle.codes:CodesExtractor",
    )


@hookimpl
def allophone_vocoders() -> Iterator[VocoderEntry]:
    yield VocoderEntry(
        name="codec",
        summary="A codec of EnCodec's kind (Defossez et al. 2022), which models of codes speak through.",
        config="allophone_valle.codec_config:CodecArchitecture",
        vocoder="allophone_valle.codecs.trained:build_vocoder",
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="valle.ar",
        summary="The first codebook, code by code, and the end.",
        config="allophone_valle.config:ValleArTrainerConfig",
        objective="allophone_valle.objective_ar:ValleArObjective",
        trains="valle",
        inference_module="ar",
    )
    yield TrainerEntry(
        name="valle.nar",
        summary="The other codebooks, each from those below it.",
        config="allophone_valle.config:ValleNarTrainerConfig",
        objective="allophone_valle.objective_nar:ValleNarObjective",
        trains="valle",
        inference_module="nar",
    )
    yield TrainerEntry(
        name="valle.codec",
        summary="A codec by waveforms, mels and its codebooks; with discriminators where asked for.",
        config="allophone_valle.codec_config:CodecTrainerConfig",
        objective="allophone_valle.codec_objective:CodecObjective",
        trains="codec",
        inference_module="codec",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "valle",
        "allophone_valle",
        {
            "libritts": "The published size on LibriTTS: over a thousand English readers, 24 kHz.",
            "librilight": "The published size on recordings of thousands of readers, 24 kHz.",
            "tiny": "A few million parameters on codes of valle/codec-tiny: half an hour on a CPU.",
            "codec-tiny": "A codec of under a million parameters: half an hour on a CPU, 16 kHz.",
        },
    )
