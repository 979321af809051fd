"""The records that plugins hand to the core.

A record says what there is (a name, one line of summary) and where its code lives, as a `Ref`. Nothing
is imported until somebody asks for it, so listing every installed plugin costs milliseconds. This
module is light: it imports the standard library and attrs only.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import Attribute, Factory, field, fields, frozen
from attrs.converters import optional

_REF = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)?")


def _check_target(_: Any, __: Attribute[str], value: str) -> None:
    if not _REF.fullmatch(value):
        raise ValueError(f"{value!r} is not a reference, such as 'package.module:attribute'.")


def _check_name(_: Any, attribute: Attribute[str], value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{attribute.name}={value!r}: use lower-case letters, digits, '.', '-' and '_', "
            "with one '/' at most, as in 'family/what'."
        )


@frozen
class Ref:
    """Where a Python object lives, as "package.module:attribute", imported when `load` is called."""

    target: str = field(validator=_check_target)

    def load(self) -> Any:
        """Import the module and return the attribute; ImportError and AttributeError are the caller's."""
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
    """A reference as the record keeps it, given as one or as its text."""
    return given if isinstance(given, Ref) else Ref(given)


@frozen(kw_only=True)
class CorpusEntry:
    """A reader of one kind of dataset on disk.

    reader: `(config) -> Iterable[Utterance]`, see `allophone.data.manifest` and, for what readers
        share, `allophone.corpora.reading`.
    config: the attrs class of the reader's table in `[[data.corpora]]`; it has at least `root`, and
        `language` and `weight` too where it extends `allophone.corpora.config.CorpusConfig`.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    reader: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class FeatureExtractorEntry:
    """Something that turns an utterance into an array, once, for the feature store.

    extractor: `(config, ExtractionContext) -> FeatureExtractor`, see `allophone.features.protocol`.
    config: the attrs class of its table `[features.<name>]`.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    extractor: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class PhonemizerEntry:
    """Something that turns normalised text into symbols.

    phonemizer: `(config) -> Phonemizer`, see `allophone.text.phonemizers`.
    config: the attrs class of its table `[text.phonemizer]`.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    phonemizer: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class NormalizerEntry:
    """What writes out the numbers, dates and abbreviations of one language.

    language: the language's code without a region ("en"), which serves all its regions ("en-us").
    normalizer: `() -> Callable[[str], str]`.
    """

    language: str = _name()
    summary: str
    normalizer: Ref = field(converter=as_ref)

    @property
    def name(self) -> str:
        return self.language


@frozen(kw_only=True)
class ImporterEntry:
    """A reader of somebody else's checkpoint format.

    importer: `(source: Path, destination: Path) -> None`, writes a voice folder at `destination`, which
        the core has made sure does not exist and renames into place when the call returns.
    recognises: `(source: Path) -> bool`, whether the file or folder looks like this format; quick.
    """

    name: str = _name()
    summary: str
    importer: Ref = field(converter=as_ref)
    recognises: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class ExporterEntry:
    """A writer of voices in a format that other programs speak with.

    exporter: `(voice: StoredVoice, destination: Path) -> None`, writes `destination`, a file or a folder,
        into an empty folder that the core has made; what must lie beside it has its name and more:
        "joe.onnx", "joe.onnx.json". The core moves all of it into place when the call returns.
    streaming: the same, in a form that is heard before a sentence is finished; None where the format
        has none.
    """

    name: str = _name()
    summary: str
    exporter: Ref = field(converter=as_ref)
    streaming: Ref | None = field(default=None, converter=optional(as_ref))


@frozen(kw_only=True)
class ModelEntry:
    """A model family that turns text (and prompts) into a waveform or a mel spectrogram.

    config: the attrs class of the table `[model]`.
    synthesizer: `(VoiceSpec, weights, device) -> Synthesizer`, see `allophone.inference.protocol`.
    assembler: `(stages: Mapping[str, StoredVoice], destination: Path) -> None`, for a family that is
        learned in several runs: writes one voice folder at `destination`. `stages` has what each run
        has learned, by the name of the module that speaks in it (`TrainerEntry.inference_module`); the core has
        made sure that they go together. None where one run is a voice.
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
    """An objective for the trainer runtime.

    config: the attrs class of the table `[trainer]`.
    objective: `(Experiment, Vocabulary) -> Objective`, see `allophone.training.objective`.
    trains: the name of the model or vocoder whose weights it learns.
    inference_module: which of the objective's modules a voice is made of.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    objective: Ref = field(converter=as_ref)
    trains: str
    inference_module: str


@frozen(kw_only=True)
class VocoderEntry:
    """What turns a mel spectrogram or codes into a waveform.

    config: the attrs class that describes it.
    vocoder: `(VocoderSpec, weights, device) -> Vocoder`, see `allophone.inference.protocol`.
    needs_weights: False for what is not learned, such as Griffin-Lim.
    """

    name: str = _name()
    summary: str
    config: Ref = field(converter=as_ref)
    vocoder: Ref = field(converter=as_ref)
    needs_weights: bool = True
    importers: tuple[ImporterEntry, ...] = ()


@frozen(kw_only=True)
class VoiceEntry:
    """A trained voice that a package ships.

    locate: `() -> Path` of a voice folder; it may convert the package's files once, into a cache.
    licence: in a few words, what one may do with it.
    """

    name: str = _name()
    summary: str
    language: str
    licence: str
    locate: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class EngineEntry:
    """An inference backend: what makes samples of the ids of sentences.

    engine: `(Path, EngineOptions) -> LoadedVoice`, see `allophone.synthesis.engine`; loads the voice at a path.
    recognises: `(Path) -> bool`, whether the engine can load the file or folder; quick.
    light: whether it starts without PyTorch. Where several engines recognise a voice, a light one speaks,
        unless another is asked for by name.
    """

    name: str = _name()
    summary: str
    engine: Ref = field(converter=as_ref)
    recognises: Ref = field(converter=as_ref)
    light: bool = False


@frozen(kw_only=True)
class CommandEntry:
    """A command of the command line, `allophone <name>`.

    summary: what `allophone --help` says of it, one line.
    command: a `click.Command`, imported when it is called.
    """

    name: str = _name()
    summary: str
    command: Ref = field(converter=as_ref)


@frozen(kw_only=True)
class RecipeEntry:
    """A preset experiment that a plugin ships.

    name: "family/what", for example "whisperer/library".
    package, path: where its TOML file lies: an importable package and a path below it.
    """

    name: str = _name()
    summary: str
    package: str
    path: str


def recipes(family: str, package: str, summaries: Mapping[str, str]) -> tuple[RecipeEntry, ...]:
    """The recipes `<family>/<name>` of a package, in `recipes/<name>.toml`; summaries: by name."""
    return tuple(
        RecipeEntry(
            name=f"{family}/{name}", summary=summary, package=package, path=f"recipes/{name}.toml"
        )
        for name, summary in summaries.items()
    )


def importers(package: str, summaries: Mapping[str, str]) -> tuple[ImporterEntry, ...]:
    """The importers of a package, each in a module `<name>.py` (with "_" for "-") which has the functions
    `import_checkpoint` and `recognises`; summaries: by name."""
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
    "models": ModelEntry,
    "trainers": TrainerEntry,
    "vocoders": VocoderEntry,
    "voices": VoiceEntry,
    "recipes": RecipeEntry,
    "engines": EngineEntry,
    "commands": CommandEntry,
}
"""What can be registered: the kind, as in the hook `allophone_<kind>`, and the record it takes."""


def singular(kind: str) -> str:
    """How one entry of a kind is called: "feature extractor", "corpus"."""
    return {"corpora": "corpus"}.get(kind, kind.removesuffix("s")).replace("_", " ")


def references(entry: Any) -> Iterator[tuple[str, Ref]]:
    """All that a record refers to, also through those that hang on it: ("importers.piper.importer", Ref)."""
    for attribute in fields(type(entry)):
        value = getattr(entry, attribute.name)
        if isinstance(value, Ref):
            yield attribute.name, value
        elif isinstance(value, tuple):
            for inner in value:
                for name, ref in references(inner):
                    yield f"{attribute.name}.{inner.name}.{name}", ref


def pluggable(
    kind: str, *, default: type | None = None, many: Literal["list", "table"] | None = None
) -> Any:
    """An attrs field that holds the config of something a plugin offers.

    In TOML it is a table with `type = "<name>"`; the other keys are that plugin's own. In Python it is
    an instance of the config class that the entry names, or None where there is neither table nor default.

    kind: as in the hook's name: "models", "phonemizers".
    default: the config class of a table that is missing or does not say its type.
    many: "list" for a tuple of such tables, "table" for a mapping of them, where a table that does
        not say its type has its own key for one.
    """
    empty: dict[str, Any] = {"list": tuple, "table": dict}
    make = empty[many] if many else default
    return field(
        default=Factory(make) if make else None,
        metadata={"pluggable": kind, "default": default, "many": many},
    )
