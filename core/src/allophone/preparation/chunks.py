"""The unit of extraction: some hundred utterances, stored feature by feature.

Chunks follow from the manifest alone, so any process may do any of them, in any order, and be killed:
what it had stored stays stored, and another one does the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import frozen

from allophone.data.digests import Seen, look_at
from allophone.data.manifest import Dropped, Utterance
from allophone.data.store import StoredArray
from allophone.feature_index import FeatureIndex

CHUNK = 128

Chunk = tuple[Utterance, ...]


@frozen(kw_only=True)
class ChunkDone:
    """What came of a chunk.

    seen: its files as they are now.
    computed: arrays that were not there before, by feature.
    notes: what was done to how many recordings in reading them.
    """

    seen: Mapping[str, Seen]
    computed: Mapping[str, int]
    notes: Mapping[str, int]


def cut(utterances: Sequence[Utterance]) -> list[Chunk]:
    """Cut a manifest into chunks."""
    return [tuple(utterances[first : first + CHUNK]) for first in range(0, len(utterances), CHUNK)]


def extract_chunk(index: FeatureIndex, chunk: Chunk) -> ChunkDone:
    """Extract and store what is missing of a chunk.

    What an earlier feature has dropped, no later one is asked for. What was dropped in another run is
    tried again, since it may have been for want of a package.
    """
    seen = {
        path: look_at(path, index.digests[path])
        for utterance in chunk
        for path in index.files(utterance)
    }
    index.digests.update(seen)
    left = [u for u in chunk if all(seen[path] for path in index.files(u))]
    computed: Counter[str] = Counter()
    for name in index.extractors:
        computed[name] = _extract_feature(index, name, left)
        for utterance in list(left):
            if isinstance(index.usable(name, utterance), Dropped):
                left.remove(utterance)
                index.recordings.forget(utterance)
    notes = dict(index.recordings.notes)
    index.recordings.clear()
    return ChunkDone(seen=seen, computed=computed, notes=notes)


def _extract_feature(index: FeatureIndex, name: str, utterances: Sequence[Utterance]) -> int:
    """Extract and store what is missing of one feature; how many arrays that made."""
    # By key, since two utterances may be made of the same: one text at two microphones.
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
        error.add_note(f"While '{name}' was extracted of {ids[0]} to {ids[-1]}.")
        raise
    results = dict(zip(missing, extracted, strict=True))
    arrays = {key: r for key, r in results.items() if not isinstance(r, Dropped)}
    dropped = {key: r for key, r in results.items() if isinstance(r, Dropped)}
    news = {key: reason for key, reason in dropped.items() if reason != store.find(key)}
    if arrays or news:
        store.commit({**arrays, **news})
    return len(arrays)
