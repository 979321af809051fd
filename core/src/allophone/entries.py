"""The records that plugins return from their hooks.

A record has a name, a one-line summary and references to code (`Ref`), which is imported when it is used, so that
listing all installed plugins takes milliseconds. Imports only the standard library and attrs.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any, Literal

from attrs import Attribute, field, frozen, validators
from attrs.converters import optional

_REF = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)?")


def _check_target(_: Any, __: Attribute[str], value: str) -> None:
    if not _REF.fullmatch(value):
        raise ValueError(f"{value!r} is not a reference such as 'package.module:attribute'.")


def _check_name(_: Any, attribute: Attribute[str], value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"Invalid {attribute.name} {value!r}: use lower-case letters, digits, '.', '-' and '_', "
            "with at most one '/', as in 'family/name'."
        )


@frozen
class Ref:
    """A reference to a Python object, "package.module:attribute", imported when `load` is called."""

    target: str = field(validator=_check_target)

    def load(self) -> Any:
        """Import the module and return the attribute. Import errors are not caught."""
        module, _, attribute = self.target.partition(":")
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found

    def __str__(self) -> str:
        return self.target


def _name() -> Any:
    return field(validator=_check_name)


def as_ref(given: Ref | str) -> Ref:
    """Convert a string to a `Ref`."""
    return given if isinstance(given, Ref) else Ref(given)


@frozen(kw_only=True)
class CorpusEntry:
    """A reader of one kind of dataset on disk.

    reader: `(config) -> Iterable[Utterance | BadRow]`; `allophone.corpora.reading` has helpers.
    config: the attrs class of its table in `[[data.corpora]]`, with at least the field `root`; extend
        `allophone.corpora.config.CorpusConfig` to add `language` and `weight`.
    source: where to get the dataset, its size and licence; shown if its folder is missing.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    reader: Ref = field(converter=as_ref)
    source: str = ""


@frozen(kw_only=True)
class FeatureExtractorEntry:
    """A feature extractor: computes an array of each utterance for the feature store.

    extractor: `(config, ExtractionContext) -> FeatureExtractor`; see `allophone.features.protocol`.
    config: the attrs class of its table `[features.<name>]`.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    extractor: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class BatchSamplerEntry:
    """A batch sampler: it decides which utterances form a batch, and the order of batches.

    sampler: `(config, SamplingContext) -> BatchSampler`, see `allophone.data.batch_sampler`.
    config: the attrs class of its table `[data.batching]`, which extends
        `allophone.data.batch_sampler.BatchingConfig`.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    sampler: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class Score:
    """A number that a metric returns.

    name: of the number in logs, such as "wer"; unique among metrics.
    better: which values are better; "neither" for a number that only describes, such as a speaking rate.
    unit: such as "dB"; "" where it has none.
    """

    name: str = _name()
    better: Literal["lower", "higher", "neither"] = field(
        validator=validators.in_(("lower", "higher", "neither"))
    )
    unit: str = ""


@frozen(kw_only=True)
class MetricEntry:
    """An evaluation metric of synthesized speech.

    metric: `(config, MetricContext) -> Metric`, see `allophone.metrics.protocol`.
    config: the attrs class of its table `[runtime.metrics.<name>]`.
    scores: the numbers that it returns for each utterance.
    needs_reference, needs_text: whether it needs a recording, or the text.
    needs_timing: whether it needs the times that the synthesis took, which training does not measure.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    metric: Ref = field(converter=as_ref)
    scores: tuple[Score, ...] = field(validator=validators.min_len(1))
    needs_reference: bool = False
    needs_text: bool = False
    needs_timing: bool = False


@frozen(kw_only=True)
class ExecutorEntry:
    """Where the work of a command is done, for `--executor`: in processes of a machine or a cluster.

    executor: `(workers: int | None) -> Executor`; see `allophone.processes.executors`.
    """

    name: str = _name()
    summary: str
    executor: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class PhonemizerEntry:
    """A phonemizer: converts normalized text to symbols.

    phonemizer: `(config) -> Phonemizer`; see `allophone.text.phonemizers`.
    config: the attrs class of its table `[text.phonemizer]`.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    phonemizer: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class NormalizerEntry:
    """A text normalizer: writes out the numbers, dates and abbreviations of one language.

    language: a language code; one without a region ("en") also applies to all regions ("en-us").
    normalizer: `() -> Callable[[str], str]`.
    version: raise it whenever a text is written out otherwise than before, so that the features
       that are stored of it are extracted again.
    """

    language: str = _name()
    summary: str
    normalizer: Ref = field(converter=as_ref)
    version: int = 1

    @property
    def name(self) -> str:
        return self.language


@frozen(kw_only=True)
class ImporterEntry:
    """An importer of another project's checkpoint format.

    importer: `(source: Path, destination: Path) -> None`; writes a voice or vocoder folder at `destination`,
        a temporary path that does not exist yet. The core moves the folder into place afterwards.
    recognises: `(source: Path) -> bool`; whether a file or folder looks like this format. It must be fast.
    """

    name: str = _name()
    summary: str
    importer: Ref = field(converter=as_ref)
    recognises: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class ExporterEntry:
    """An exporter of voices to a format of other programs.

    exporter: `(voice: StoredVoice, destination: Path) -> None`; writes the file or folder `destination` in an
        empty temporary folder. Further files must be next to it, with names that start with its name:
        "joe.onnx", "joe.onnx.json". The core moves all of them into place afterwards.
    streaming: the same, for a form that can be streamed; None if the format has none.
    """

    name: str = _name()
    summary: str
    exporter: Ref = field(converter=as_ref)
    streaming: Ref | None = field(default=None, converter=optional(as_ref))


@frozen(kw_only=True)
class ModelEntry:
    """A model family: converts text (and prompts) to a waveform or a mel spectrogram.

    config: the attrs class of the table `[model]`.
    synthesizer: `(VoiceSpec, weights, device) -> Synthesizer`; see `allophone.inference.protocol`.
    assembler: `(stages: Mapping[str, StoredVoice], destination: Path) -> None`, for families that are trained
        in several stages; writes one voice folder at `destination`. `stages` maps the inference module of
        each stage (`TrainerEntry.inference_module`) to what its run trained; the core checks that they
        belong together. None if a voice is trained in one run.
    importers, exporters: the formats that voices of this family are imported from and exported to.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    synthesizer: Ref = field(converter=as_ref)
    assembler: Ref | None = field(default=None, converter=optional(as_ref))
    importers: tuple[ImporterEntry, ...] = ()
    exporters: tuple[ExporterEntry, ...] = ()


@frozen(kw_only=True)
class TrainerEntry:
    """A training objective.

    config: the attrs class of the table `[trainer]`.
    objective: `(Experiment, Vocabulary) -> Objective`; see `allophone.training.objective`.
    trains: the name of the model or vocoder that it trains.
    inference_module: the name of the objective's module that is used for inference.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    objective: Ref = field(converter=as_ref)
    trains: str
    inference_module: str


@frozen(kw_only=True)
class VocoderEntry:
    """A vocoder: converts mel spectrograms to waveforms.

    config: the attrs class of the table `[vocoder]`.
    vocoder: `(VocoderSpec, weights, device) -> Vocoder`; see `allophone.inference.protocol`.
    needs_weights: False for vocoders that need no training, such as Griffin-Lim.
    importers: the formats that vocoders of this family are imported from.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    vocoder: Ref = field(converter=as_ref)
    needs_weights: bool = True
    importers: tuple[ImporterEntry, ...] = ()


@frozen(kw_only=True)
class VoiceEntry:
    """A trained voice in a package.

    locate: `() -> Path` of the voice folder or exported voice.
    licence: the licence of the voice, preferably an SPDX identifier.
    """

    name: str = _name()
    summary: str
    language: str
    licence: str
    locate: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class EngineEntry:
    """An inference engine.

    engine: `(Path, EngineOptions) -> LoadedVoice`; loads the voice at a path. See
        `allophone.synthesis.engine`.
    recognises: `(Path) -> bool`; whether the engine can load a file or folder. It must be fast.
    light: whether it works without PyTorch. If several engines recognise a voice, light ones are preferred.
    """

    name: str = _name()
    summary: str
    engine: Ref = field(converter=as_ref)
    recognises: Ref = field(converter=as_ref)
    light: bool = False


@frozen(kw_only=True)
class CommandEntry:
    """A command, `allophone <name>`.

    summary: one line for `allophone --help`.
    command: a `click.Command`, imported when it is called.
    """

    name: str = _name()
    summary: str
    command: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class RecipeEntry:
    """A recipe: a preset experiment in a package.

    name: "<family>/<name>", such as "whisperer/library".
    package, path: an importable package, and the path of the TOML file in it.
    """

    name: str = _name()
    summary: str
    package: str
    path: str


def recipes(family: str, package: str, summaries: Mapping[str, str]) -> tuple[RecipeEntry, ...]:
    """Make the entries of a package's recipes, `<family>/<name>` in `recipes/<name>.toml`.

    summaries: the summary of each recipe by name.
    """
    return tuple(
        RecipeEntry(
            name=f"{family}/{name}", summary=summary, package=package, path=f"recipes/{name}.toml"
        )
        for name, summary in summaries.items()
    )


def importers(package: str, summaries: Mapping[str, str]) -> tuple[ImporterEntry, ...]:
    """Make the entries of a package's importers.

    Each is a module `<name>.py` (with "_" for "-") with the functions `import_checkpoint` and `recognises`.

    summaries: the summary of each importer by name.
    """
    modules = {name: f"{package}.{name.replace('-', '_')}" for name in summaries}
    return tuple(
        ImporterEntry(
            name=name,
            summary=summary,
            importer=f"{modules[name]}:import_checkpoint",
            recognises=f"{modules[name]}:recognises",
        )
        for name, summary in summaries.items()
    )


KINDS: Mapping[str, type] = {
    "corpora": CorpusEntry,
    "normalizers": NormalizerEntry,
    "phonemizers": PhonemizerEntry,
    "feature_extractors": FeatureExtractorEntry,
    "batch_samplers": BatchSamplerEntry,
    "models": ModelEntry,
    "trainers": TrainerEntry,
    "vocoders": VocoderEntry,
    "voices": VoiceEntry,
    "recipes": RecipeEntry,
    "engines": EngineEntry,
    "metrics": MetricEntry,
    "executors": ExecutorEntry,
    "commands": CommandEntry,
}
"""Maps each kind, as in the hook `allophone_<kind>`, to its record class."""


def singular(kind: str) -> str:
    """Return the singular name of a kind, for messages: "feature extractor", "corpus"."""
    return {"corpora": "corpus"}.get(kind, kind.removesuffix("s")).replace("_", " ")
