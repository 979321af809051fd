"""Hook implementations of the plugin. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import (
    CommandEntry,
    ExporterEntry,
    FeatureExtractorEntry,
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
        summary="VITS (Kim et al. 2021): end-to-end text to waveform, single- or multi-speaker.",
        config="allophone_vits.config:VitsConfig",
        synthesizer="allophone_vits.synthesis:build_synthesizer",
        importers=importers(
            "allophone_vits.importers",
            {
                "piper": "A Piper voice: NAME.onnx with NAME.onnx.json.",
                "piper-checkpoint": "A Piper training checkpoint: .ckpt.",
                "jaywalnut310": "A checkpoint of the reference implementation: G_<step>.pth.",
                "amphion": "An experiment of Amphion's VITS recipe.",
            },
        ),
        exporters=(
            ExporterEntry(
                name="onnx",
                summary="An ONNX file and its JSON file, compatible with Piper.",
                exporter="allophone_vits.exporters.voices:export_voice",
                streaming="allophone_vits.exporters.voices:export_streaming_voice",
            ),
        ),
    )


@hookimpl
def allophone_trainers() -> Iterator[TrainerEntry]:
    yield TrainerEntry(
        name="vits",
        summary="VITS training: adversarial, feature matching, mel, KL and duration losses.",
        config="allophone_vits.config:VitsTrainerConfig",
        objective="allophone_vits.objective:VitsObjective",
        trains="vits",
        inference_module="generator",
    )
    yield TrainerEntry(
        name="vits.new-speaker",
        summary="VITS training that continues a voice, such as one of Piper's, with another speaker's recordings.",
        config="allophone_vits.config:NewSpeakerTrainerConfig",
        objective="allophone_vits.new_speaker:NewSpeakerObjective",
        trains="vits",
        inference_module="generator",
    )
    yield TrainerEntry(
        name="vits.distill",
        summary="A student's decoder, flow and text encoder learn from a teacher's speech.",
        config="allophone_vits.distillation.config:DistillTrainerConfig",
        objective="allophone_vits.distillation.objective:DistillObjective",
        trains="vits",
        inference_module="generator",
    )


@hookimpl
def allophone_feature_extractors() -> Iterator[FeatureExtractorEntry]:
    yield FeatureExtractorEntry(
        name="latents",
        summary="The latents of a teacher's speech, as `allophone distill` writes them.",
        config="allophone_vits.distillation.config:LatentsConfig",
        extractor="allophone_vits.distillation.features:LatentsExtractor",
    )
    yield FeatureExtractorEntry(
        name="encoded-text",
        summary="What a teacher's text encoder made of the texts, as `allophone distill` writes it.",
        config="allophone_vits.distillation.config:EncodedTextConfig",
        extractor="allophone_vits.distillation.features:EncodedTextExtractor",
    )


@hookimpl
def allophone_commands() -> Iterator[CommandEntry]:
    yield CommandEntry(
        name="distill",
        summary="Teach faster parts to speak as a voice does.",
        command="allophone_vits.distillation.command:command",
    )


@hookimpl
def allophone_recipes() -> tuple[RecipeEntry, ...]:
    return recipes(
        "vits",
        "allophone_vits",
        {
            "ljspeech": "The published single-speaker model, English, 22.05 kHz.",
            "vctk": "The published multi-speaker model, 109 English speakers, 22.05 kHz.",
            "libritts": "More than a thousand English speakers, 24 kHz.",
            "festvox-ru": "One Russian speaker from a Debian package, 16 kHz.",
            "new-speaker": "Continues a medium Piper voice with your recordings (--finetune VOICE).",
            "new-speaker-fast": "The same on a CPU, for a distilled voice with a decoder at frame rate.",
            "asterisk": "vits/new-speaker with Asterisk's English prompts from Debian, one woman, 21 minutes.",
            "asterisk-fast": "Asterisk's prompts on a CPU, for a distilled voice.",
            "distill": "A student decoder for a trained voice; `allophone distill` uses it.",
            "tiny": "Under a million parameters; trains in minutes on a CPU.",
        },
    )
