"""The index of the stored features of an experiment.

Extraction and training both use this module, so that they agree on where features are stored and which
utterances are left out.

    <data.directory>/
        manifest.jsonl              the utterances
        index/                      where they and their features are, made again when needed
        digests/                    digests of their files
        features/<name>-<key>/      one store per extractor
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.config import Experiment, unstructure
from allophone.data.digests import Digests, digest_of
from allophone.data.manifest import MANIFEST, Dropped, Utterance
from allophone.data.manifest_index import Utterances, open_manifest
from allophone.data.store import DROPPED, MISSING, FeatureStore, Locations, StoredArray
from allophone.errors import UserError, near_miss
from allophone.features.protocol import ExtractionContext, FeatureExtractor, ReadsFiles
from allophone.features.recordings import RecordingReader, SecondsExtractor
from allophone.files.regular import why_not_a_file
from allophone.registry import Registry
from allophone.text.frontend import build_frontend, find_normalizer
from allophone.text.symbols import SymbolTable

SECONDS = "seconds"
"""The feature with the duration of each utterance, which is always extracted."""

_FEW = 10_000
"""Ids among which a similar one is looked for."""


@frozen(kw_only=True)
class StoredUtterance:
    """An utterance with all of its features by name, and its duration."""

    utterance: Utterance
    seconds: float
    features: Mapping[str, StoredArray]

    def symbols(self, features: Iterable[str]) -> set[str]:
        """The set of symbols in these features."""
        arrays = (self.features[name] for name in features)
        return set().union(*(array.read().tolist() for array in arrays if array.is_text))

    def lengths(self, features: Iterable[str], symbols: SymbolTable) -> dict[str, int]:
        """The length of each of these features in a batch."""
        arrays = {name: self.features[name] for name in features}
        return {
            name: symbols.encoded_length(array.shape[0]) if array.is_text else array.shape[0]
            for name, array in arrays.items()
        }


class FeatureIndex:
    """The extractors of an experiment and their feature stores.

    extractors: by name. Cheap ones come first, since the others are skipped for utterances they drop.
    """

    def __init__(self, experiment: Experiment, registry: Registry) -> None:
        """Build the extractors; what is stored is read when it is looked up."""
        if SECONDS in experiment.features:
            raise UserError(
                f"[features.{SECONDS}]: the name '{SECONDS}' is reserved.",
                hint="Give the feature another name.",
            )
        self.recordings = RecordingReader(
            sample_rate=experiment.audio.sample_rate, trim_db=experiment.data.trim_db
        )
        self.extractors = _build_extractors(experiment, self.recordings, registry)
        self._files = {name: _FilesRead(made) for name, made in self.extractors.items()}
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
        """The files of an utterance that any of the extractors reads."""
        return set().union(*(files(utterance) for files in self._files.values()))

    def key(self, name: str, utterance: Utterance) -> str:
        """The key of an utterance in the store of a feature; the digests of its files must be known."""
        reads = self.extractors[name].reads
        parts: dict[str, Any] = {}
        if "audio" in reads:
            parts["audio"] = [self.digests.digest(utterance.audio), utterance.start, utterance.end]
        if "text" in reads:
            language = utterance.language or self._experiment.text.language
            parts["text"] = [utterance.text, language]
            # The symbols also depend on which normalizer is installed.
            normalizer = find_normalizer(self._experiment.text, language, self._registry)
            if normalizer is not None:
                parts["normalizer"] = [str(normalizer.normalizer), normalizer.version]
        if "speaker" in reads:
            parts["speaker"] = utterance.speaker
        if "labels" in reads and utterance.labels is not None:
            parts["labels"] = self.digests.digest(utterance.labels)
        if own := self._files[name].own:
            parts["files"] = [self.digests.digest(path) for path in own(utterance)]
        return digest_of(parts)

    def lookup(self, name: str, utterance: Utterance) -> StoredArray | Dropped | None:
        """Look up a feature of an utterance: its array, why it was dropped, or None if not extracted yet."""
        for path in self._files[name](utterance):
            if path not in self.digests:
                return None
            if self.digests.digest(path) is None:
                kind = "recording" if path == utterance.audio else "file"
                wrong = why_not_a_file(path) or f"{path} cannot be read"
                return Dropped(reason=f"missing {kind}", detail=wrong)
        return self._stores[name].find(self.key(name, utterance))

    def recall(self, utterances: Iterable[Utterance]) -> None:
        """Look up the digests of the files of many utterances at once, for what is asked of them next."""
        self.digests.recall({path for utterance in utterances for path in self.files(utterance)})

    def locate(self, utterances: Sequence[Utterance]) -> Iterator[tuple[str, Locations]]:
        """Look up all features of many utterances, as `lookup` does for one."""
        self.recall(utterances)
        found: dict[Any, tuple[list[str], NDArray[np.int32]]] = {}
        for name, extractor in self.extractors.items():
            # Those that read the same have the same keys.
            same = name if self._files[name].own else frozenset(extractor.reads)
            if same not in found:
                found[same] = self._keys(name, utterances)
            keys, lacking = found[same]
            located = self._stores[name].locate(keys)
            located.pack[lacking < 0] = lacking[lacking < 0]
            yield name, located

    def _keys(
        self, name: str, utterances: Sequence[Utterance]
    ) -> tuple[list[str], NDArray[np.int32]]:
        """The keys of utterances, and what `Locations.pack` has for those with files that are not known [N]; 0 for others."""
        keys: list[str] = []
        lacking = np.zeros(len(utterances), np.int32)
        for row, utterance in enumerate(utterances):
            for path in self._files[name](utterance):
                if self.digests.digest(path) is None:
                    lacking[row] = DROPPED if path in self.digests else MISSING
                    break
            keys.append("" if lacking[row] else self.key(name, utterance))
        return keys, lacking

    def usable(self, name: str, utterance: Utterance) -> StoredArray | Dropped | None:
        """Look up a feature like `lookup`, and apply the limits of `[data.limits]`."""
        found = self.lookup(name, utterance)
        if isinstance(found, StoredArray):
            return self._check_limits(name, found) or found
        return found

    def find(self, utterance: Utterance) -> StoredUtterance | Dropped | None:
        """Look up all features of an utterance; why it was dropped, or None if any is not extracted yet."""
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
        """The store of a feature."""
        return self._stores[name]

    def _check_limits(self, name: str, array: StoredArray) -> Dropped | None:
        limits = Limits(self._experiment)
        if array.is_text:
            return next(
                (why(array.shape[0]) for over, why in limits.symbols if over(array.shape[0])), None
            )
        if name != SECONDS:
            return None
        seconds = float(array.read())
        return next((why(seconds) for over, why in limits.seconds if over(seconds)), None)


class Limits:
    """The limits of `[data.limits]` and `[audio]`: whether a value, or each of an array, is past one, and what to say of it.

    symbols: of the number of symbols. seconds: of the duration.
    """

    def __init__(self, experiment: Experiment) -> None:
        limits, spec = experiment.data.limits, experiment.audio
        self.symbols: list[tuple[Callable[[Any], Any], Callable[[int], Dropped]]] = []
        if limits.max_symbols:
            self.symbols.append((lambda count: count > limits.max_symbols, self._too_many))
        self._limits = limits
        self.seconds: list[tuple[Callable[[Any], Any], Callable[[float], Dropped]]] = [
            (lambda seconds: seconds * spec.sample_rate < spec.min_samples, _under_a_frame)
        ]
        if limits.min_seconds:
            self.seconds.append((lambda seconds: seconds < limits.min_seconds, self._too_short))
        if limits.max_seconds:
            self.seconds.append((lambda seconds: seconds > limits.max_seconds, self._too_long))

    def _too_many(self, count: int) -> Dropped:
        limit = f"data.limits.max_symbols is {self._limits.max_symbols}"
        return Dropped(reason="too long", detail=f"{count} symbols; {limit}")

    def _too_short(self, seconds: float) -> Dropped:
        limit = f"data.limits.min_seconds is {self._limits.min_seconds:g}"
        return Dropped(reason="too short", detail=f"{seconds:.3f} s; {limit}")

    def _too_long(self, seconds: float) -> Dropped:
        limit = f"data.limits.max_seconds is {self._limits.max_seconds:g}"
        return Dropped(reason="too long", detail=f"{seconds:.3f} s; {limit}")


def _under_a_frame(seconds: float) -> Dropped:
    return Dropped(reason="too short", detail=f"{seconds:.3f} s; less than one frame of [audio]")


def prepared_utterances(experiment: Experiment) -> Utterances:
    """Open the manifest of an experiment, without what `data.exclude` leaves out.

    Raises UserError if there is no manifest yet, and for an excluded id that it does not hold.
    """
    path = Path(experiment.data.directory).expanduser() / MANIFEST
    if not path.exists():
        raise UserError(
            f"There is no manifest {path}.",
            hint="Create it first: allophone prepare RECIPE --root FOLDER",
        )
    manifest = open_manifest(path)
    excluded = manifest.find(experiment.data.exclude)
    if unknown := sorted(set(experiment.data.exclude) - excluded.keys()):
        known = [utterance.id for utterance in manifest] if len(manifest) < _FEW else []
        raise UserError(
            f"data.exclude: there is no utterance '{unknown[0]}' in {path}.",
            hint=near_miss(unknown[0], known),
        )
    return manifest.without(list(excluded.values()))


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
        # Blanks and boundaries are added when symbols are encoded, and the language is part of each
        # utterance's key.
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


class _FilesRead:
    """Lists the files of an utterance that an extractor reads."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        self._audio = "audio" in extractor.reads
        self._labels = "labels" in extractor.reads
        # Asked once: it takes longer than all else that is done for an utterance.
        self.own = extractor.files if isinstance(extractor, ReadsFiles) else None

    def __call__(self, utterance: Utterance) -> list[str]:
        paths = [utterance.audio] if self._audio else []
        if self._labels and utterance.labels is not None:
            paths.append(utterance.labels)
        if self.own:
            paths.extend(self.own(utterance))
        return paths
