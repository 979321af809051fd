"""The core's own entries, registered through the same hooks as those of plugins."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import (
    BatchSamplerEntry,
    CommandEntry,
    CorpusEntry,
    EngineEntry,
    ExecutorEntry,
    FeatureExtractorEntry,
    MetricEntry,
    PhonemizerEntry,
    Score,
    VocoderEntry,
)
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_corpora() -> Iterator[CorpusEntry]:
    yield CorpusEntry(
        name="table",
        summary="Your own recordings, listed in metadata.csv or a JSONL file.",
        config="allophone.corpora.config:TableConfig",
        reader="allophone.corpora.table:read",
    )


@hookimpl
def allophone_phonemizers() -> Iterator[PhonemizerEntry]:
    yield PhonemizerEntry(
        name="graphemes",
        summary="The characters of the text as they are.",
        config="allophone.text.config:GraphemeConfig",
        phonemizer="allophone.text.phonemizers:GraphemePhonemizer",
    )


@hookimpl
def allophone_feature_extractors() -> Iterator[FeatureExtractorEntry]:
    for name, module, summary in (
        ("waveform", "recordings", "The recording itself, cut, trimmed and resampled."),
        ("phonemes", "phonemes", "The symbols of the text, as [text] makes them."),
        ("mels", "mels", "Mel spectrograms from files, such as a model's predictions."),
    ):
        yield FeatureExtractorEntry(
            name=name,
            summary=summary,
            config=f"allophone.features.config:{name.capitalize()}Config",
            extractor=f"allophone.features.{module}:{name.capitalize()}Extractor",
        )


@hookimpl
def allophone_batch_samplers() -> Iterator[BatchSamplerEntry]:
    yield BatchSamplerEntry(
        name="length-buckets",
        summary="Utterances of similar length, within a budget of audio seconds.",
        config="allophone.data.batching:LengthBucketsConfig",
        sampler="allophone.data.length_buckets:build",
    )


@hookimpl
def allophone_vocoders() -> Iterator[VocoderEntry]:
    yield VocoderEntry(
        name="griffin-lim",
        summary="Phase by iteration: needs no training, sounds hollow.",
        config="allophone.inference.config:GriffinLimConfig",
        vocoder="allophone.inference.griffin_lim:build",
        needs_weights=False,
    )


@hookimpl
def allophone_engines() -> Iterator[EngineEntry]:
    yield EngineEntry(
        name="torch",
        summary="Voice folders and runs of every model family, and vocoders, with PyTorch.",
        engine="allophone.inference.engine:load",
        recognises="allophone.inference.engine:recognises",
    )


@hookimpl
def allophone_metrics() -> Iterator[MetricEntry]:
    yield MetricEntry(
        name="mel-distance",
        summary="How far log-mel spectrograms are from the recording's, aligned in time.",
        config="allophone.metrics.config:MelDistanceConfig",
        metric="allophone.metrics.mel_distance:MelDistance",
        scores=(Score(name="mel_distance", better="lower", unit="dB"),),
        needs_reference=True,
    )


@hookimpl
def allophone_executors() -> Iterator[ExecutorEntry]:
    yield ExecutorEntry(
        name="local",
        summary="Processes of this machine.",
        executor="allophone.processes.executors:LocalProcesses",
    )


@hookimpl
def allophone_commands() -> Iterator[CommandEntry]:
    for name, summary in (
        ("say", "Synthesize a text."),
        ("voices", "List the installed voices, or describe one."),
        ("synthesize", "Synthesize many texts: a split of a manifest, or a list."),
        ("vocode", "Convert mel spectrograms to audio with a vocoder."),
        ("convert", "Convert a recording to another speaker's voice."),
        ("prepare", "Write the manifest of a corpus, with splits."),
        ("extract", "Extract the features that training needs."),
        ("train", "Train, resume or fine-tune a model."),
        ("import", "Convert another project's checkpoint to a voice."),
        ("export", "Export a voice to a format of other programs."),
        ("config", "Show or check an experiment's configuration."),
        ("recipes", "List the recipes, or print one."),
        ("plugins", "List the installed plugins and what they offer."),
        ("doctor", "Check this machine, the installed packages and the plugins."),
    ):
        module = "import_" if name == "import" else name
        yield CommandEntry(name=name, summary=summary, command=f"allophone.cli.{module}:command")
