"""What the core itself offers, registered through the same hooks as everybody's."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import (
    CommandEntry,
    CorpusEntry,
    EngineEntry,
    FeatureExtractorEntry,
    PhonemizerEntry,
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
def allophone_commands() -> Iterator[CommandEntry]:
    for name, summary in (
        ("say", "Speak a text with a voice."),
        ("voices", "List the installed voices, or what one can do."),
        ("synthesize", "Speak many texts: a split of a manifest, or a list."),
        ("vocode", "Make audio of mel spectrograms with a vocoder."),
        ("convert", "Convert a recording to another speaker's voice."),
        ("prepare", "List a corpus's utterances in a manifest, with splits."),
        ("extract", "Compute and store what training needs of each utterance."),
        ("train", "Train, resume or fine-tune a model."),
        ("import", "Convert another project's checkpoint into a voice."),
        ("export", "Write a voice in a format of other programs."),
        ("package", "Write an installable package of a voice."),
        ("config", "Show or check an experiment's configuration."),
        ("recipes", "List the preset experiments, or show one."),
        ("plugins", "List what is installed, and what is broken."),
        ("doctor", "Check this machine and what is installed on it."),
        ("new-plugin", "Write a small plugin to start from."),
    ):
        module = "import_" if name == "import" else name.replace("-", "_")
        yield CommandEntry(name=name, summary=summary, command=f"allophone.cli.{module}:command")
