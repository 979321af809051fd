"""The index of a corpus: for each line of its manifest, where the features of an experiment are stored.

    index/<digest>.columns

Training reads this file instead of the indexes of the feature stores and the digests of the recordings. It
is made from these by the first process that needs it, and again when any of them has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.config import Experiment, unstructure
from allophone.data.columns import Columns, ColumnWriter
from allophone.data.digests import digest_of, file_state
from allophone.data.index_files import open_index
from allophone.data.manifest_index import Manifest, Utterances
from allophone.data.store import (
    DROPPED,
    MISSING,
    FeatureStore,
    Kind,
    Locations,
    StoredArray,
    read_single_numbers,
    read_together,
    stored_array,
)
from allophone.datasets.feature_index import (
    SECONDS,
    FeatureIndex,
    Limits,
    StoredUtterance,
)
from allophone.registry import Registry
from allophone.text.frontend import find_normalizer

_PART = 4096


@frozen(kw_only=True)
class StoredFeature:
    """Where a feature of each utterance is stored [N], as in `allophone.data.store.Locations`.

    symbols: the symbols that occur, if the feature is text.
    occurring, bounds: the symbols of utterance n are `occurring[bounds[n]:bounds[n + 1]]`, each once and as
        a position in `symbols`.
    """

    folder: Path
    kinds: Sequence[Kind]
    packs: NDArray[np.bytes_]
    pack: NDArray[np.int32]
    offset: NDArray[np.uint32]
    length: NDArray[np.uint32]
    kind: NDArray[np.int16]
    symbols: Sequence[str]
    occurring: NDArray[np.uint32]
    bounds: NDArray[np.int64]

    def array(self, row: int) -> StoredArray:
        """The array of an utterance."""
        pack = self.folder / f"{self.packs[self.pack[row]].decode()}.bin"
        kind = self.kinds[self.kind[row]]
        return stored_array(pack, int(self.offset[row]), int(self.length[row]), kind)

    @property
    def is_text(self) -> NDArray[np.bool_]:
        """Whether arrays of each of the kinds hold symbols."""
        return np.array([dtype.startswith("<U") for dtype, _ in self.kinds], bool)

    def symbols_of(self, row: int) -> set[str]:
        """The symbols of an utterance."""
        return {
            self.symbols[code] for code in self.occurring[self.bounds[row] : self.bounds[row + 1]]
        }


class CorpusIndex:
    """The manifest and the stored features of an experiment, as columns.

    seconds: the duration of each utterance [N], NaN if it is not known.
    features: by name, without the durations.
    """

    def __init__(self, manifest: Manifest, columns: Columns, folder: Path) -> None:
        """Use `open_corpus_index`."""
        self.manifest = manifest
        self._columns, self._folder = columns, folder
        self.seconds: NDArray[np.float64] = columns["seconds"]
        self._packs = columns[f"{SECONDS}.pack"]
        self.features = {
            name: StoredFeature(
                folder=folder / described["folder"],
                kinds=[
                    (dtype, None if rest is None else tuple(rest))
                    for dtype, rest in described["kinds"]
                ],
                symbols=described["symbols"],
                **{
                    column: columns[f"{name}.{column}"]
                    for column in (
                        "packs",
                        "pack",
                        "offset",
                        "length",
                        "kind",
                        "occurring",
                        "bounds",
                    )
                },
            )
            for name, described in columns.header["features"].items()
            if name != SECONDS
        }

    def __reduce__(self) -> tuple[Any, tuple[Manifest, Columns, Path]]:
        return CorpusIndex, (self.manifest, self._columns, self._folder)

    def release(self) -> None:
        """Give back the memory of columns that were read as a whole; other processes and later reads are not affected."""
        self._columns.release()
        self.manifest.release()

    def utterance(self, row: int) -> StoredUtterance:
        """The utterance of a row with its features, which must all be stored."""
        return StoredUtterance(
            utterance=self.manifest.utterance(row),
            seconds=float(self.seconds[row]),
            features={name: feature.array(row) for name, feature in self.features.items()},
        )

    def usable(
        self, experiment: Experiment, rows: NDArray[np.int64] | range
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of some rows, return those that have all features within the limits, and those that are to be extracted."""
        limits = Limits(experiment)
        missing = self._packs == MISSING
        dropped = self._packs == DROPPED
        with np.errstate(invalid="ignore"):
            for is_past, _ in limits.seconds:
                dropped |= is_past(self.seconds)
        for feature in self.features.values():
            missing |= feature.pack == MISSING
            dropped |= feature.pack == DROPPED
            if feature.is_text.any():
                is_text = (feature.pack >= 0) & feature.is_text[feature.kind]
                for is_past, _ in limits.symbols:
                    dropped |= is_text & is_past(feature.length)
        wanted = np.zeros(len(dropped), bool)
        wanted[slice(rows.start, rows.stop) if isinstance(rows, range) else rows] = True
        wanted &= ~dropped
        self.release()
        return np.flatnonzero(wanted & ~missing), np.flatnonzero(wanted & missing)


class StoredUtterances(Sequence[StoredUtterance]):
    """Utterances with their features, each put together when it is asked for.

    corpus: the index of their corpus.
    rows: their rows in it.
    """

    def __init__(self, corpus: CorpusIndex, rows: NDArray[np.int64]) -> None:
        self.corpus = corpus
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> StoredUtterance: ...
    @overload
    def __getitem__(self, index: slice) -> StoredUtterances: ...
    def __getitem__(self, index: int | slice) -> StoredUtterance | StoredUtterances:
        if isinstance(index, slice):
            return StoredUtterances(self.corpus, self.rows[index])
        return self.corpus.utterance(int(self.rows[index]))

    def __iter__(self) -> Iterator[StoredUtterance]:
        return (self.corpus.utterance(int(row)) for row in self.rows)

    @property
    def utterances(self) -> Utterances:
        """The utterances without their features."""
        return Utterances(self.corpus.manifest, self.rows)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """The duration of each [N]."""
        return self.corpus.seconds[self.rows]

    def of_split(self, split: str) -> StoredUtterances:
        """Those of a split."""
        number = self.corpus.manifest.names["split"].index(split)
        return self.where(self.corpus.manifest.codes("split")[self.rows] == number)

    def where(self, chosen: NDArray[np.bool_]) -> StoredUtterances:
        """Those for which `chosen` [N] is true."""
        return StoredUtterances(self.corpus, self.rows[chosen])

    def codes(self, field: str) -> NDArray[np.int32]:
        """The numbers of the names in a field of each [N], as in `Manifest.codes`."""
        return self.corpus.manifest.codes(field)[self.rows]

    def names(self, field: str) -> list[str | None]:
        """The names that occur in a field, in order of their numbers; None comes first."""
        known = self.corpus.manifest.names[field]
        return [None if code < 0 else known[code] for code in np.unique(self.codes(field)).tolist()]

    def fingerprint(self) -> str:
        """A digest that tells by their ids which utterances these are, in their order."""
        hashes = self.corpus.manifest.id_hashes()[self.rows]
        return hashlib.blake2b(hashes.tobytes(), digest_size=16).hexdigest()

    def symbols(self) -> set[str]:
        """All symbols that occur in their features."""
        found: set[str] = set()
        for feature in self.corpus.features.values():
            occurs = np.zeros(len(feature.symbols), bool)
            for codes, _ in symbols_in_parts(feature, self.rows):
                occurs[codes] = True
            found |= {feature.symbols[code] for code in np.flatnonzero(occurs).tolist()}
        self.corpus.release()
        return found


def symbols_in_parts(
    feature: StoredFeature, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.int64]]]:
    """Yield the symbols of some utterances, part by part: codes [M], and the bounds [n + 1] of each utterance."""
    if not len(feature.symbols):
        return
    for first in range(0, len(rows), 1 << 18):
        part = rows[first : first + (1 << 18)]
        starts, ends = feature.bounds[part], feature.bounds[part + 1]
        counts = ends - starts
        bounds = np.concatenate([[0], np.cumsum(counts)])
        within = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
        yield feature.occurring[np.repeat(starts, counts) + within], bounds


def open_corpus_index(
    experiment: Experiment, manifest: Manifest, index: FeatureIndex, registry: Registry
) -> CorpusIndex:
    """Open the index of an experiment's corpus, of which the manifest is open."""
    directory = Path(experiment.data.directory).expanduser()

    def is_current(columns: Columns) -> bool:
        sources: dict[str, Any] = columns.header["sources"]
        return sources == _sources(manifest, index, known=sources["digests"])

    columns = open_index(
        directory,
        digest_of(_conditions(experiment, index, manifest, registry)),
        is_current,
        lambda out: _write(manifest, index, out),
    )
    return CorpusIndex(manifest, columns, directory / "features")


def _conditions(
    experiment: Experiment, index: FeatureIndex, manifest: Manifest, registry: Registry
) -> Any:
    """What decides where the features of a given manifest are looked for."""
    normalizers = {}
    if any("text" in extractor.reads for extractor in index.extractors.values()):
        for language in {*manifest.names["language"], experiment.text.language}:
            found = find_normalizer(experiment.text, language, registry)
            normalizers[language] = found and [str(found.normalizer), found.version]
    return {
        "features": unstructure(experiment, registry=registry)["features"],
        "extractors": {name: extractor.key for name, extractor in index.extractors.items()},
        "language": experiment.text.language,
        "normalizers": normalizers,
    }


def _sources(
    manifest: Manifest, index: FeatureIndex, known: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """What an index is made of: the manifest, the digests of files, and the packs of each store."""
    states = {}
    for path in index.digests.cache_files():
        before = known.get(path.name)
        now = file_state(str(path), (before[0], before[1], before[2]) if before else None)
        # The time is only to see quickly that a file is the same.
        states[path.name] = before if now and before and now[2] == before[2] else now and list(now)
    assert manifest.state is not None
    return {
        "manifest": manifest.state[2],
        "digests": states,
        "stores": {name: digest_of(index.store(name).pack_names()) for name in index.extractors},
    }


def _write(manifest: Manifest, index: FeatureIndex, out: ColumnWriter) -> dict[str, Any]:
    """Look up all features of all utterances."""
    sources = _sources(manifest, index, known={})
    symbols: dict[str, dict[str, int]] = {name: {} for name in index.extractors}
    for name in index.extractors:
        out.append(f"{name}.bounds", np.zeros(1, np.int64))
        out.append(f"{name}.occurring", np.zeros(0, np.uint32))
    ends = dict.fromkeys(index.extractors, 0)
    for first in range(0, len(manifest), _PART):
        utterances = list(manifest[first : first + _PART])
        for name, located in index.locate(utterances):
            for column in ("pack", "offset", "length", "kind"):
                out.append(f"{name}.{column}", getattr(located, column))
            store = index.store(name)
            if name == SECONDS:
                out.append(SECONDS, _numbers(store, located))
                continue
            counts, codes = _symbols(store, located, symbols[name])
            out.append(f"{name}.occurring", codes)
            out.append(f"{name}.bounds", ends[name] + np.cumsum(counts))
            ends[name] += len(codes)
    features = {}
    for name in index.extractors:
        store = index.store(name)
        out.append(f"{name}.packs", np.array(store.packs, "S"))
        features[name] = {
            "folder": store.folder.name,
            "kinds": store.kinds,
            "symbols": list(symbols[name]),
        }
    return {"sources": sources, "features": features}


def _numbers(store: FeatureStore, located: Locations) -> NDArray[np.float64]:
    """Read the single numbers at some locations [N]; NaN where there is none."""
    numbers = np.full(len(located.pack), np.nan)
    for pack, kind, rows in _by_pack(located):
        dtype, _ = store.kinds[kind]
        path = store.pack_path(store.packs[pack])
        numbers[rows] = read_single_numbers(path, located.offset[rows], dtype)
    return numbers


def _symbols(
    store: FeatureStore, located: Locations, numbers: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Read the symbols at some locations: how many different ones each has [N], and their numbers [M]."""
    count = len(located.pack)
    found: list[NDArray[np.int64]] = []
    for pack, kind, rows in _by_pack(located):
        dtype, _ = store.kinds[kind]
        if not dtype.startswith("<U") or dtype == "<U0":
            continue
        path = store.pack_path(store.packs[pack])
        lengths = located.length[rows]
        values = read_together(path, located.offset[rows], lengths, dtype)
        # Numbers are sorted much faster than texts, and most symbols have one character.
        characters = dtype == "<U1"
        distinct, inverse = np.unique(
            values.view("<u4") if characters else values, return_inverse=True
        )
        written = (distinct.view("<U1") if characters else distinct).tolist()
        codes = np.array([numbers.setdefault(each, len(numbers)) for each in written], np.int64)
        found.append((np.repeat(rows, lengths) << 32) + codes[inverse])
    both = np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
    both = both[np.concatenate([[True], both[1:] != both[:-1]])[: len(both)]]
    return np.bincount(both >> 32, minlength=count), (both & 0xFFFFFFFF).astype(np.uint32)


def _by_pack(located: Locations) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Group locations by pack and kind: their rows."""
    stored = np.flatnonzero(located.pack >= 0)
    groups = (located.pack[stored].astype(np.int64) << 16) + located.kind[stored]
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    for rows in np.split(stored[order], edges):
        if len(rows):
            yield int(located.pack[rows[0]]), int(located.kind[rows[0]]), rows
