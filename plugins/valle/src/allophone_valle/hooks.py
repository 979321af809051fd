"""Hook implementations of the plugin. Imports no torch."""

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
        summary="VALL-E (Wang et al. 2023): neural codec language model that clones the voice of a "
        "reference recording.",
        config="allophone_valle.config:ValleConfig",
        synthesizer="allophone_valle.synthesis:build_synthesizer",
        assembler="allophone_valle.assembling:assemble",
        importers=importers(
            "allophone_valle.importers",
            {
                "lifeiteng": "A checkpoint of lifeiteng/vall-e: NAME.pt with *.k2symbols.",
                "amphion": "An experiment of Amphion's first VALL-E recipe, with args.json.",
            },
        ),
    )


@hookimpl
def allophone_feature_extractors() -> Iterator[FeatureExtractorEntry]:
    yield FeatureExtractorEntry(
        name="codes",
        summary="Codes of a recording by the codec of [model.codec].",
        config="allophone_valle.codec_config:CodesConfig",
        extractor="allophone_valle.codes:CodesExtractor",
    )


@hookimpl
def allophone_vocoders() -> Iterator[VocoderEntry]:
    yield VocoderEntry(
        name="codec",
        summary="A neural codec with EnCodec's architecture (Defossez et al. 2022), for codec language models.",
        config="allophone_valle.codec_config:CodecArchitecture",
        vocoder="allophone_valle.codecs.trained:build_vocoder",
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="valle.ar",
        summary="The AR model of the first codebook.",
        config="allophone_valle.config:ValleArTrainerConfig",
        objective="allophone_valle.objective_ar:ValleArObjective",
        trains="valle",
        inference_module="ar",
    )
    yield TrainerEntry(
        name="valle.nar",
        summary="The NAR model of the other codebooks.",
        config="allophone_valle.config:ValleNarTrainerConfig",
        objective="allophone_valle.objective_nar:ValleNarObjective",
        trains="valle",
        inference_module="nar",
    )
    yield TrainerEntry(
        name="valle.codec",
        summary="Codec training: waveform, mel and commitment losses; optionally adversarial.",
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
            "libritts": "The published size on LibriTTS: more than a thousand English speakers, 24 kHz.",
            "librilight": "The published size on Libri-Light: thousands of English speakers, 24 kHz.",
            "tiny": "A few million parameters, with valle/codec-tiny; trains in half an hour on a CPU.",
            "codec-tiny": "A small codec, 16 kHz; trains in half an hour on a CPU.",
        },
    )
