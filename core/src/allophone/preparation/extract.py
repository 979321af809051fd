"""Extracts and stores the features of a corpus: `allophone extract`.

The work is split into chunks (`allophone.preparation.chunks`), which are shared by processes and, with
`--shard`, by machines. An interrupted extraction can be run again and continues where it stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from attrs import field, frozen, validators

from allophone.config import Experiment, unstructure
from allophone.data.digests import is_unchanged
from allophone.data.manifest import Dropped, Remark, Utterance, write_dropped
from allophone.data.manifest_index import Utterances
from allophone.datasets.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.errors import UserError
from allophone.preparation import chunks
from allophone.preparation.chunks import ChunkDone
from allophone.preparation.remarks import (
    Remarked,
    read_remarks,
    remarks_on,
    write_remarks,
)
from allophone.processes.executors import Executor, Task
from allophone.processes.progress import Track, untracked
from allophone.registry import Registry

_SAVE_SECONDS = 20.0
"""Interval at which file digests are saved: a killed run rereads the files of this time at most."""


@frozen
class Shard:
    """One machine's part of the work: shard `index` of `count`, starting at 1."""

    index: int = field(default=1, validator=validators.ge(1))
    count: int = field(default=1, validator=validators.ge(1))

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse "I/N". Raises UserError for anything else."""
        index, slash, count = text.partition("/")
        if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise UserError(
            f"Invalid --shard value '{text}'.",
            hint="Expected I/N with I from 1 to N, such as --shard 1/8.",
        )

    @property
    def name(self) -> str:
        """Name of the shard in file names."""
        return f"{self.index}-of-{self.count}"


@frozen(kw_only=True)
class Extracted:
    """The result of an extraction, for its shard.

    usable: number of utterances that have all features.
    seconds: their total duration.
    computed: number of arrays that this run stored, by feature.
    notes: number of recordings, by the conversion made while reading them.
    dropped: why an utterance was dropped, by id.
    report: the file that lists the dropped utterances.
    remarks: what is odd about a usable utterance, by id.
    remarked: the file that lists the remarks.
    """

    usable: int
    seconds: float
    computed: Mapping[str, int]
    notes: Mapping[str, int]
    dropped: Mapping[str, Dropped]
    report: Path
    remarks: Mapping[str, Remark]
    remarked: Path


def extract(
    experiment: Experiment,
    registry: Registry,
    *,
    executor: Executor | None = None,
    shard: Shard = Shard(),
    track: Track = untracked,
) -> Extracted:
    """Extract the features of an experiment that are not stored yet.

    executor: where chunks are extracted; by default in this process. Other processes see installed plugins only,
        not other ones in `registry`.
    Raises UserError if there is no manifest, a feature cannot be extracted, or no utterance is usable.
    """
    utterances = prepared_utterances(experiment)
    mine = chunks.split_into_chunks(len(utterances))[shard.index - 1 :: shard.count]
    index = FeatureIndex(experiment, registry)
    for name in index.extractors:
        index.store(name).clean()
    undone = [
        sum(not _is_done(index, utterance) for utterance in _recalled(index, utterances, chunk))
        for chunk in mine
    ]
    todo = [chunk for chunk, count in zip(mine, undone, strict=True) if count]
    if sum(undone) <= chunks.CHUNK:
        # Starting processes would take longer than the work.
        executor = None
    computed: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    remarked = _report_file(experiment, "remarks", shard)
    remarks = read_remarks(remarked)

    def save() -> None:
        if index.digests.changed:
            # Lazily: a shard of millions has more paths than fit in memory as one list of utterances.
            files = (index.files(utterances[row]) for chunk in mine for row in chunk)
            index.digests.save(shard.name, chain.from_iterable(files))
        write_remarks(remarked, remarks.values())

    def work() -> Iterator[int]:
        saved, took = time.monotonic(), 0.0
        for chunk, done in _results(experiment, index, utterances, todo, executor):
            index.digests.update(done.seen)
            computed.update(done.computed)
            notes.update(done.notes)
            remarks.update({each.key: each for each in done.remarks})
            if time.monotonic() - saved > max(_SAVE_SECONDS, 20 * took):
                before = time.monotonic()
                save()
                saved = time.monotonic()
                took = saved - before
            yield from chunk

    try:
        for _ in track(work(), total=sum(map(len, todo)), description="Extracting"):
            pass
    finally:
        save()
    if executor is not None and todo:
        index = FeatureIndex(experiment, registry)
    return _report(experiment, index, utterances, mine, shard, computed, notes, remarks)


def _recalled(index: FeatureIndex, utterances: Utterances, chunk: range) -> list[Utterance]:
    """The utterances of a chunk, after the digests of their files were looked up together."""
    found = list(utterances[chunk.start : chunk.stop])
    index.recall(found)
    return found


def _is_done(index: FeatureIndex, utterance: Utterance) -> bool:
    """Whether nothing is left to extract, including features that an earlier run dropped."""
    if not all(is_unchanged(path, index.digests[path]) for path in index.files(utterance)):
        return False
    for name in index.extractors:
        found = index.lookup(name, utterance)
        if found is None or isinstance(found, Dropped):
            return False
        if isinstance(index.usable(name, utterance), Dropped):
            return True
    return True


def _results(
    experiment: Experiment,
    index: FeatureIndex,
    utterances: Utterances,
    todo: Sequence[range],
    executor: Executor | None,
) -> Iterator[tuple[range, ChunkDone]]:
    """Yield the chunks as they are completed, in this process or in others."""
    if executor is None:
        for chunk in todo:
            yield chunk, chunks.extract_chunk(index, utterances[chunk.start : chunk.stop])
        return
    plain = unstructure(experiment)
    needed = ("data", "text", "audio", "features", "model")
    tables = {name: plain[name] for name in needed if name in plain}
    task = Task(start="allophone.preparation.worker:start", arguments=(tables,))
    yield from executor.run(task, todo)


def _report(
    experiment: Experiment,
    index: FeatureIndex,
    utterances: Utterances,
    mine: Sequence[range],
    shard: Shard,
    computed: Counter[str],
    notes: Counter[str],
    remarks: Mapping[str, Remarked],
) -> Extracted:
    seconds = []
    dropped: dict[str, Dropped] = {}
    odd: list[Remarked] = []
    for chunk in mine:
        usable: list[Utterance] = []
        for utterance in _recalled(index, utterances, chunk):
            found = index.find(utterance)
            if isinstance(found, StoredUtterance):
                seconds.append(found.seconds)
                usable.append(utterance)
            else:
                assert found is not None, f"{utterance.id} was not extracted"
                dropped[utterance.id] = found
        odd += remarks_on(index, usable, remarks)
    report = _report_file(experiment, "dropped", shard)
    write_dropped(report, dropped)
    remarked = _report_file(experiment, "remarks", shard)
    write_remarks(remarked, odd)
    if mine and not seconds:
        id, why = next(iter(dropped.items()))
        raise UserError(
            f"All {len(dropped)} utterances were dropped. {id}: {why.reason}: {why.detail}",
            hint=f"{report} lists all of them with the reason.",
        )
    return Extracted(
        usable=len(seconds),
        seconds=sum(seconds),
        computed={name: computed[name] for name in index.extractors},
        notes=dict(notes),
        dropped=dropped,
        report=report,
        remarks={each.id: each.remark for each in odd},
        remarked=remarked,
    )


def _report_file(experiment: Experiment, name: str, shard: Shard) -> Path:
    """The file, in the data directory, that names utterances for one of the reports of a shard."""
    own = "" if shard.count == 1 else f"-{shard.name}"
    return Path(experiment.data.directory).expanduser() / f"{name}{own}.jsonl"
