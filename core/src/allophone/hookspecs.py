"""The hooks that plugins can implement: the complete plugin contract.

A plugin is a Python package with an entry point in the group `allophone.plugins`:

    [project.entry-points."allophone.plugins"]
    whisperer = "allophone_whisperer.hooks"

The module it refers to declares the version of the contract it was written for, and implements any of the
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

Every hook except `allophone_train_event` is called once without arguments when the registry is built, and
returns an iterable of records (`allophone.entries`). Keep that module and the config modules light: they
should import only the standard library, attrs and the core's light modules. Code that needs heavy packages
(torch, numpy) belongs behind the references.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from allophone.entries import (
        BatchSamplerEntry,
        CommandEntry,
        CorpusEntry,
        EngineEntry,
        ExecutorEntry,
        FeatureExtractorEntry,
        MetricEntry,
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
"""The version of this contract, incremented on incompatible changes.

A plugin's hooks module sets the number it was written for as a literal; do not import this one. Plugins with
another number, or none, are not registered."""

hookspec = pluggy.HookspecMarker("allophone")
hookimpl = pluggy.HookimplMarker("allophone")


@hookspec
def allophone_corpora() -> Iterable[CorpusEntry]:
    """Corpus readers, for `allophone prepare` and `[[data.corpora]]`.

    CorpusEntry(name="library", summary="Recordings made in libraries.",
                config="pkg.config:LibraryConfig", reader="pkg.library:read")
    """


@hookspec
def allophone_normalizers() -> Iterable[NormalizerEntry]:
    """Text normalizers, one per language, which write out numbers, dates and abbreviations.

    NormalizerEntry(language="en", summary="...", normalizer="pkg.english:EnglishNormalizer")
    """


@hookspec
def allophone_phonemizers() -> Iterable[PhonemizerEntry]:
    """Phonemizers: convert normalized text to phonemes or other symbols, for `[text.phonemizer]`.

    PhonemizerEntry(name="pinyin", summary="...", config="pkg.config:PinyinConfig",
                    phonemizer="pkg.pinyin:PinyinPhonemizer")
    """


@hookspec
def allophone_feature_extractors() -> Iterable[FeatureExtractorEntry]:
    """Feature extractors, for `allophone extract` and `[features.<name>]`.

    FeatureExtractorEntry(name="f0", summary="...", config="pkg.config:F0Config",
                          extractor="pkg.f0:F0Extractor")
    """


@hookspec
def allophone_batch_samplers() -> Iterable[BatchSamplerEntry]:
    """What puts utterances together to batches, for `[data.batching]`.

    BatchSamplerEntry(name="balanced", summary="...", config="pkg.config:BalancedConfig",
                      sampler="pkg.balanced:build")
    """


@hookspec
def allophone_models() -> Iterable[ModelEntry]:
    """Model families: convert text (and prompts) to a waveform or a mel spectrogram, for `[model]`.

    ModelEntry(name="vits", summary="...", config="pkg.config:VitsConfig",
               synthesizer="pkg.synthesis:build_synthesizer", importers=(...,))
    """


@hookspec
def allophone_trainers() -> Iterable[TrainerEntry]:
    """Training objectives, for `allophone train` and `[trainer]`.

    TrainerEntry(name="vits", summary="...", config="pkg.config:VitsTrainerConfig",
                 objective="pkg.objective:VitsObjective", trains="vits", inference_module="generator")
    """


@hookspec
def allophone_vocoders() -> Iterable[VocoderEntry]:
    """Vocoders: convert mel spectrograms to waveforms.

    VocoderEntry(name="griffin-lim", summary="...", config="pkg.config:GriffinLimConfig",
                 vocoder="pkg.griffin_lim:build", needs_weights=False)
    """


@hookspec
def allophone_voices() -> Iterable[VoiceEntry]:
    """Trained voices in the package, for `allophone say --voice NAME`.

    VoiceEntry(name="joe", summary="...", language="en-us", licence="CC0", locate="pkg.joe:locate")
    """


@hookspec
def allophone_recipes() -> Iterable[RecipeEntry]:
    """Recipes (preset experiments), for `allophone prepare|extract|train NAME`.

    RecipeEntry(name="whisperer/library", summary="...", package="pkg", path="recipes/library.toml")
    """


@hookspec
def allophone_engines() -> Iterable[EngineEntry]:
    """Inference engines, which load and run voices in certain formats.

    EngineEntry(name="onnx", summary="ONNX files, without PyTorch.", light=True,
                engine="pkg.engine:load", recognises="pkg.engine:recognises")
    """


@hookspec
def allophone_metrics() -> Iterable[MetricEntry]:
    """Evaluation metrics of synthesized speech, for `[runtime.metrics.<name>]`.

    MetricEntry(name="word-errors", summary="...", config="pkg.config:WordErrorsConfig",
                metric="pkg.word_errors:build", scores=(Score(name="wer", better="lower"),),
                needs_text=True)
    """


@hookspec
def allophone_executors() -> Iterable[ExecutorEntry]:
    """Executors, which do the work of a command in processes of a machine or a cluster, for `--executor`.

    ExecutorEntry(name="ray", summary="...", executor="pkg.executor:build")
    """


@hookspec
def allophone_commands() -> Iterable[CommandEntry]:
    """Commands, `allophone <name>`.

    CommandEntry(name="serve", summary="Serve voices over HTTP.", command="pkg.cli:serve")
    """


@hookspec
def allophone_train_event(event: TrainEvent) -> None:
    """Called on rank 0 for every event of a training run, for loggers and notifiers.

    `event` is one of the records in `allophone.events`: RunStarted, StepFinished, Validated,
    CheckpointSaved, SamplesMade, RunFinished. Exceptions do not stop the run; they are logged with the plugin's
    name, once for each kind of error.
    """
