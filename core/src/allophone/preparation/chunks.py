"""Extraction of one chunk of about a hundred utterances, stored feature by feature.

Chunks depend only on the manifest, so any process can extract any chunk in any order. If a process is
killed, the features that it has stored are kept, and another process can extract the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import frozen

from allophone.data.digests import FileState, file_state
from allophone.data.manifest import Dropped, Utterance
from allophone.data.store import StoredArray
from allophone.datasets.feature_index import FeatureIndex
from allophone.preparation.remarks import Remarked, remarks_of

CHUNK = 128
"""Utterances in a chunk."""


@frozen(kw_only=True)
class ChunkDone:
    """The result of extracting a chunk.

    seen: current state of its files, by path.
    computed: number of newly stored arrays, by feature.
    notes: number of recordings, by the conversion made while reading them.
    remarks: what is odd about recordings that were read.
    """

    seen: Mapping[str, FileState]
    computed: Mapping[str, int]
    notes: Mapping[str, int]
    remarks: Sequence[Remarked]


def split_into_chunks(count: int) -> list[range]:
    """Split a manifest of some utterances into chunks: their rows."""
    return [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]


def extract_chunk(index: FeatureIndex, chunk: Sequence[Utterance]) -> ChunkDone:
    """Extract and store the missing features of a chunk.

    An utterance that one feature drops is skipped for the following features. Utterances that an
    earlier run dropped are tried again, since the cause may have been a missing package.
    """
    chunk = list(chunk)
    index.recall(chunk)
    seen = {
        path: file_state(path, index.digests[path])
        for utterance in chunk
        for path in index.files(utterance)
    }
    index.digests.update(seen)
    remaining = [u for u in chunk if all(seen[path] for path in index.files(u))]
    computed: Counter[str] = Counter()
    for name in index.extractors:
        computed[name] = _extract_feature(index, name, remaining)
        for utterance in list(remaining):
            if isinstance(index.usable(name, utterance), Dropped):
                remaining.remove(utterance)
                index.recordings.forget(utterance)
    notes, remarks = dict(index.recordings.notes), remarks_of(index, chunk)
    index.recordings.clear()
    return ChunkDone(seen=seen, computed=computed, notes=notes, remarks=remarks)


def _extract_feature(index: FeatureIndex, name: str, utterances: Sequence[Utterance]) -> int:
    """Extract and store the missing arrays of one feature; returns their number."""
    # By key, since utterances can share an array: one text recorded with two microphones.
    missing = {
        index.key(name, utterance): utterance
        for utterance in utterances
        if not isinstance(index.lookup(name, utterance), StoredArray)
    }
    if not missing:
        return 0
    store = index.store(name)
    try:
        extracted = list(index.extractors[name].extract(list(missing.values())))
    except Exception as error:
        ids = [utterance.id for utterance in missing.values()]
        error.add_note(f"While extracting '{name}' from {ids[0]} to {ids[-1]}.")
        raise
    results = dict(zip(missing, extracted, strict=True))
    arrays = {key: r for key, r in results.items() if not isinstance(r, Dropped)}
    dropped = {key: r for key, r in results.items() if isinstance(r, Dropped)}
    newly_dropped = {key: reason for key, reason in dropped.items() if reason != store.find(key)}
    if arrays or newly_dropped:
        store.commit({**arrays, **newly_dropped})
    return len(arrays)
