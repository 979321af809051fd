"""Extracts and stores the features of a corpus: `allophone extract`.

The work is split into chunks (`allophone.preparation.chunks`), which are shared by processes and, with
`--shard`, by machines. An interrupted extraction can be run again and continues where it stopped.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from attrs import field, frozen, validators

from allophone.config import Experiment, unstructure
from allophone.data.digests import is_unchanged
from allophone.data.manifest import Dropped, Remark, Utterance, write_dropped
from allophone.errors import UserError
from allophone.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.preparation import chunks, worker
from allophone.preparation.chunks import Chunk, ChunkDone
from allophone.preparation.remarks import (
    Remarked,
    read_remarks,
    remarks_on,
    write_remarks,
)
from allophone.processes import stops_held_back
from allophone.progress import Track, untracked
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
    workers: int = 1,
    shard: Shard = Shard(),
    track: Track = untracked,
) -> Extracted:
    """Extract the features of an experiment that are not stored yet.

    workers: number of processes; 1 extracts in this process. Worker processes see installed plugins only,
        not other ones in `registry`.
    Raises UserError if there is no manifest, a feature cannot be extracted, or no utterance is usable.
    """
    mine = chunks.split_into_chunks(prepared_utterances(experiment))[shard.index - 1 :: shard.count]
    index = FeatureIndex(experiment, registry)
    for name in index.extractors:
        index.store(name).clean()
    undone = [sum(not _is_done(index, utterance) for utterance in chunk) for chunk in mine]
    todo = [chunk for chunk, count in zip(mine, undone, strict=True) if count]
    if sum(undone) <= chunks.CHUNK:
        # Starting processes would take longer than the work.
        workers = 1
    computed: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    remarked = _report_file(experiment, "remarks", shard)
    remarks = read_remarks(remarked)

    def save() -> None:
        _save_digests(index, mine, shard)
        write_remarks(remarked, remarks.values())

    def work() -> Iterator[Utterance]:
        saved = time.monotonic()
        for chunk, done in _results(experiment, index, todo, workers):
            index.digests.update(done.seen)
            computed.update(done.computed)
            notes.update(done.notes)
            remarks.update({each.key: each for each in done.remarks})
            if time.monotonic() - saved > _SAVE_SECONDS:
                save()
                saved = time.monotonic()
            yield from chunk

    try:
        for _ in track(work(), total=sum(map(len, todo)), description="Extracting"):
            pass
    finally:
        save()
    if workers > 1 and todo:
        index = FeatureIndex(experiment, registry)
    return _report(experiment, index, mine, shard, computed, notes, remarks)


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
    experiment: Experiment, index: FeatureIndex, todo: Sequence[Chunk], workers: int
) -> Iterator[tuple[Chunk, ChunkDone]]:
    """Yield the chunks as they are completed, in this process or in workers."""
    if workers <= 1:
        for chunk in todo:
            yield chunk, chunks.extract_chunk(index, chunk)
        return
    plain = unstructure(experiment)
    needed = ("data", "text", "audio", "features", "model")
    tables = {name: plain[name] for name in needed if name in plain}
    pool = ProcessPoolExecutor(
        min(workers, len(todo)),
        mp_context=get_context("spawn"),
        initializer=worker.start,
        initargs=(tables,),
    )
    try:
        with stops_held_back():
            futures = {pool.submit(worker.run, chunk): chunk for chunk in todo}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "A worker process died; the system may have run out of memory.",
            hint="Stored features are kept. Run `allophone extract` again, with fewer --workers.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _save_digests(index: FeatureIndex, mine: Sequence[Chunk], shard: Shard) -> None:
    if index.digests.changed:
        paths = {path for chunk in mine for utterance in chunk for path in index.files(utterance)}
        index.digests.save(shard.name, paths)


def _report(
    experiment: Experiment,
    index: FeatureIndex,
    mine: Sequence[Chunk],
    shard: Shard,
    computed: Counter[str],
    notes: Counter[str],
    remarks: Mapping[str, Remarked],
) -> Extracted:
    seconds = []
    dropped: dict[str, Dropped] = {}
    usable: list[Utterance] = []
    for utterance in (utterance for chunk in mine for utterance in chunk):
        found = index.find(utterance)
        if isinstance(found, StoredUtterance):
            seconds.append(found.seconds)
            usable.append(utterance)
        else:
            assert found is not None, f"{utterance.id} was not extracted"
            dropped[utterance.id] = found
    report = _report_file(experiment, "dropped", shard)
    write_dropped(report, dropped)
    remarked = _report_file(experiment, "remarks", shard)
    odd = remarks_on(index, usable, remarks)
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
