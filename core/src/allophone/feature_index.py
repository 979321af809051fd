"""What is stored of the utterances of an experiment.

Extraction fills the store through this module and training reads it through the same one, so that the
two agree on where everything lies, and on which utterances are left out and why.

    <data.directory>/
        manifest.jsonl              the utterances
        digests/                    what was seen of their files
        features/<name>-<key>/      one store an extractor
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from allophone.config import Experiment, unstructure
from allophone.data.digests import Digests, digest_of
from allophone.data.manifest import MANIFEST, Dropped, Utterance, read_manifest
from allophone.data.store import FeatureStore, StoredArray
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext, FeatureExtractor, ReadsFiles
from allophone.features.recordings import RecordingReader, SecondsExtractor
from allophone.frontend import build_frontend, find_normalizer
from allophone.registry import Registry
from allophone.text.symbols import SymbolTable

SECONDS = "seconds"
"""The name of the durations, which are stored for every experiment."""


@frozen(kw_only=True)
class StoredUtterance:
    """An utterance of which everything is there: its duration, and the features by name."""

    utterance: Utterance
    seconds: float
    features: Mapping[str, StoredArray]

    def symbols(self, features: Iterable[str]) -> set[str]:
        """The symbols that these features hold."""
        arrays = (self.features[name] for name in features)
        return set().union(*(array.read().tolist() for array in arrays if array.is_text))

    def lengths(self, features: Iterable[str], symbols: SymbolTable) -> dict[str, int]:
        """How long each of these features will be in a batch."""
        arrays = {name: self.features[name] for name in features}
        return {
            name: symbols.encoded_length(array.shape[0]) if array.is_text else array.shape[0]
            for name, array in arrays.items()
        }


class FeatureIndex:
    """The extractors of an experiment with what each has stored.

    extractors: by name, in the order in which they are asked: what is cheap, and may spare the rest,
        comes first.
    """

    def __init__(self, experiment: Experiment, registry: Registry) -> None:
        """Build the extractors and read the indexes; nothing is extracted yet."""
        if SECONDS in experiment.features:
            raise UserError(
                f"[features.{SECONDS}] is a name that every experiment has already.",
                hint="Give the feature another name.",
            )
        self.recordings = RecordingReader(
            sample_rate=experiment.audio.sample_rate, trim_db=experiment.data.trim_db
        )
        self.extractors = _build_extractors(experiment, self.recordings, registry)
        directory = Path(experiment.data.directory).expanduser()
        self.digests = Digests(directory / "digests")
        self._experiment = experiment
        self._registry = registry
        self._stores = {
            name: FeatureStore(
                directory / "features" / f"{name}-{digest_of(extractor.key, size=6)}", extractor.key
            )
            for name, extractor in self.extractors.items()
        }

    def files(self, utterance: Utterance) -> set[str]:
        """The files that any of the extractors reads of an utterance."""
        return set().union(
            *(_files(utterance, extractor) for extractor in self.extractors.values())
        )

    def key(self, name: str, utterance: Utterance) -> str:
        """What the store knows an utterance by, for one feature; its files must have been seen."""
        extractor = self.extractors[name]
        reads = extractor.reads
        parts: dict[str, Any] = {}
        if "audio" in reads:
            parts["audio"] = [self.digests.digest(utterance.audio), utterance.start, utterance.end]
        if "text" in reads:
            language = utterance.language or self._experiment.text.language
            parts["text"] = [utterance.text, language]
            # Which one is installed decides the symbols too.
            normalizer = find_normalizer(self._experiment.text, language, self._registry)
            if normalizer is not None:
                parts["normalizer"] = str(normalizer.normalizer)
        if "speaker" in reads:
            parts["speaker"] = utterance.speaker
        if "labels" in reads and utterance.labels is not None:
            parts["labels"] = self.digests.digest(utterance.labels)
        if isinstance(extractor, ReadsFiles):
            parts["files"] = [self.digests.digest(path) for path in extractor.files(utterance)]
        return digest_of(parts)

    def lookup(self, name: str, utterance: Utterance) -> StoredArray | Dropped | None:
        """One feature of an utterance, why it cannot be had, or None where nobody has tried."""
        for path in _files(utterance, self.extractors[name]):
            if path not in self.digests:
                return None
            if self.digests.digest(path) is None:
                kind = "recording" if path == utterance.audio else "file"
                return Dropped(reason=f"missing {kind}", detail=f"there is no file {path}")
        return self._stores[name].find(self.key(name, utterance))

    def usable(self, name: str, utterance: Utterance) -> StoredArray | Dropped | None:
        """`lookup`, and the limits of `[data.limits]` upon what it finds."""
        found = self.lookup(name, utterance)
        if isinstance(found, StoredArray):
            return self._beyond_limits(name, found) or found
        return found

    def find(self, utterance: Utterance) -> StoredUtterance | Dropped | None:
        """All of an utterance, why it is left out, or None where something was not extracted yet."""
        found = {name: self.usable(name, utterance) for name in self.extractors}
        for result in found.values():
            if isinstance(result, Dropped):
                return result
        arrays = {name: array for name, array in found.items() if isinstance(array, StoredArray)}
        if len(arrays) < len(found):
            return None
        return StoredUtterance(
            utterance=utterance, seconds=float(arrays.pop(SECONDS).read()), features=arrays
        )

    def store(self, name: str) -> FeatureStore:
        """The store of one feature."""
        return self._stores[name]

    def _beyond_limits(self, name: str, array: StoredArray) -> Dropped | None:
        limits = self._experiment.data.limits
        if array.is_text and limits.max_symbols and array.shape[0] > limits.max_symbols:
            return Dropped(
                reason="too long",
                detail=f"{array.shape[0]} symbols, data.limits.max_symbols is {limits.max_symbols}",
            )
        if name != SECONDS:
            return None
        seconds = float(array.read())
        spec = self._experiment.audio
        if seconds * spec.sample_rate < spec.min_samples:
            return Dropped(reason="too short", detail=f"{seconds:.3f} s, not one frame of [audio]")
        if limits.min_seconds and seconds < limits.min_seconds:
            limit = f"data.limits.min_seconds is {limits.min_seconds:g}"
            return Dropped(reason="too short", detail=f"{seconds:.3f} s, {limit}")
        if limits.max_seconds and seconds > limits.max_seconds:
            limit = f"data.limits.max_seconds is {limits.max_seconds:g}"
            return Dropped(reason="too long", detail=f"{seconds:.3f} s, {limit}")
        return None


def prepared_utterances(experiment: Experiment) -> tuple[Utterance, ...]:
    """The manifest of an experiment; UserError where there is none yet."""
    path = Path(experiment.data.directory).expanduser() / MANIFEST
    if not path.exists():
        raise UserError(
            f"There is no manifest {path}.",
            hint="List the utterances of the corpus first: allophone prepare RECIPE --root FOLDER",
        )
    return read_manifest(path)


def _build_extractors(
    experiment: Experiment, recordings: RecordingReader, registry: Registry
) -> dict[str, FeatureExtractor]:
    text = experiment.text
    text_table = unstructure(text, registry=registry)
    context = ExtractionContext(
        audio=experiment.audio,
        model=experiment.model,
        load_audio=recordings,
        audio_key=recordings.key,
        frontend=lambda language: build_frontend(text, language, registry),
        # Blanks and boundaries come with the symbol table; the language is the utterance's.
        text_key={
            name: text_table[name]
            for name in ("normalize", "phonemizer", "phones", "edges")
            if text_table.get(name) not in (None, {})
        },
    )
    types = unstructure(experiment, registry=registry)["features"]
    built: dict[str, FeatureExtractor] = {}
    for name, config in experiment.features.items():
        build = registry.load("feature_extractors", types[name]["type"], "extractor")
        built[name] = build(config, context)
    by_text = {name: made for name, made in built.items() if "audio" not in made.reads}
    return {**by_text, SECONDS: SecondsExtractor(context), **built}


def _files(utterance: Utterance, extractor: FeatureExtractor) -> Iterator[str]:
    if "audio" in extractor.reads:
        yield utterance.audio
    if "labels" in extractor.reads and utterance.labels is not None:
        yield utterance.labels
    if isinstance(extractor, ReadsFiles):
        yield from extractor.files(utterance)
