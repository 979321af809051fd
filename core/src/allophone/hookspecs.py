"""Everything that a plugin can offer: the whole contract, on one page.

A plugin is a Python package with an entry point in the group `allophone.plugins`:

    [project.entry-points."allophone.plugins"]
    whisperer = "allophone_whisperer.hooks"

The module behind it says which version of this contract it was written for, and implements any of the
hooks below, decorated with `allophone.hookimpl`:

    from allophone import hookimpl
    from allophone.entries import ModelEntry

    CONTRACT = 1

    @hookimpl
    def allophone_models():
        yield ModelEntry(
            name="whisperer",
            summary="A model that only whispers.",
            config="allophone_whisperer.config:WhispererConfig",
            synthesizer="allophone_whisperer.synthesis:build",
        )

Every hook but the last is called once, when the registry is built, with no arguments, and returns an
iterable of records (`allophone.entries`). Keep that module and the config modules light: standard
library, attrs, and the core's light modules. What is heavy (torch, numpy) goes behind the references.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from allophone.entries import (
        CommandEntry,
        CorpusEntry,
        EngineEntry,
        FeatureExtractorEntry,
        ModelEntry,
        NormalizerEntry,
        PhonemizerEntry,
        RecipeEntry,
        TrainerEntry,
        VocoderEntry,
        VoiceEntry,
    )
    from allophone.events import TrainEvent

CONTRACT = 1
"""The version of this contract, raised when something that plugins rely on is changed or taken away.

A plugin's hooks module has the number that it was written for, not an import of this one; with another
number, or none, nothing of the plugin is registered."""

hookspec = pluggy.HookspecMarker("allophone")
hookimpl = pluggy.HookimplMarker("allophone")


@hookspec
def allophone_corpora() -> Iterable[CorpusEntry]:
    """Readers of datasets on disk, for `allophone prepare` and `[[data.corpora]]`.

    CorpusEntry(name="library", summary="Recordings made in libraries.",
                config="pkg.config:LibraryConfig", reader="pkg.library:read")
    """


@hookspec
def allophone_normalizers() -> Iterable[NormalizerEntry]:
    """What writes out numbers, dates and abbreviations, one a language.

    NormalizerEntry(language="en", summary="...", normalizer="pkg.english:EnglishNormalizer")
    """


@hookspec
def allophone_phonemizers() -> Iterable[PhonemizerEntry]:
    """What turns normalised text into phonemes or other symbols, for `[text.phonemizer]`.

    PhonemizerEntry(name="pinyin", summary="...", config="pkg.config:PinyinConfig",
                    phonemizer="pkg.pinyin:PinyinPhonemizer")
    """


@hookspec
def allophone_feature_extractors() -> Iterable[FeatureExtractorEntry]:
    """What is computed once an utterance and stored, for `allophone extract` and `[features.<name>]`.

    FeatureExtractorEntry(name="f0", summary="...", config="pkg.config:F0Config",
                          extractor="pkg.f0:F0Extractor")
    """


@hookspec
def allophone_models() -> Iterable[ModelEntry]:
    """Model families: text (and prompts) to a waveform or a mel spectrogram, for `[model]`.

    ModelEntry(name="vits", summary="...", config="pkg.config:VitsConfig",
               synthesizer="pkg.synthesis:build_synthesizer", importers=(...,))
    """


@hookspec
def allophone_trainers() -> Iterable[TrainerEntry]:
    """Objectives for the trainer runtime, for `allophone train` and `[trainer]`.

    TrainerEntry(name="vits", summary="...", config="pkg.config:VitsTrainerConfig",
                 objective="pkg.objective:VitsObjective", trains="vits", inference_module="generator")
    """


@hookspec
def allophone_vocoders() -> Iterable[VocoderEntry]:
    """What turns mel spectrograms or codes into waveforms.

    VocoderEntry(name="griffin-lim", summary="...", config="pkg.config:GriffinLimConfig",
                 vocoder="pkg.griffin_lim:build", needs_weights=False)
    """


@hookspec
def allophone_voices() -> Iterable[VoiceEntry]:
    """Trained voices that the package ships, for `allophone say --voice NAME`.

    VoiceEntry(name="joe", summary="...", language="en-us", licence="CC0", locate="pkg.joe:locate")
    """


@hookspec
def allophone_recipes() -> Iterable[RecipeEntry]:
    """Preset experiments, for `allophone prepare|extract|train NAME`.

    RecipeEntry(name="whisperer/library", summary="...", package="pkg", path="recipes/library.toml")
    """


@hookspec
def allophone_engines() -> Iterable[EngineEntry]:
    """Inference backends, which speak with voices of their own formats.

    EngineEntry(name="onnx", summary="ONNX files, without PyTorch.", light=True,
                engine="pkg.engine:load", recognises="pkg.engine:recognises")
    """


@hookspec
def allophone_commands() -> Iterable[CommandEntry]:
    """Commands of the command line, `allophone <name>`.

    CommandEntry(name="serve", summary="Serve voices over HTTP.", command="pkg.cli:serve")
    """


@hookspec
def allophone_train_event(event: TrainEvent) -> None:
    """Called on rank 0 at the moments of a training run, for loggers and notifiers.

    `event` is one of the records of `allophone.events`: RunStarted, StepFinished, Validated,
    CheckpointSaved, SamplesMade, RunFinished. What is raised here does not stop the run: it is logged with
    the plugin's name, once for each kind of error.
    """
