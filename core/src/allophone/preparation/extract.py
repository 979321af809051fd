"""Compute and store what training needs of each utterance: `allophone extract`.

The work is cut into chunks (`allophone.preparation.chunks`), which processes share, and machines by
`--shard`. There is nothing to set up and nothing to tidy: whatever was killed is run again.
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
from allophone.data.digests import is_as_known
from allophone.data.manifest import Dropped, Utterance, write_dropped
from allophone.errors import UserError
from allophone.feature_index import FeatureIndex, StoredUtterance, prepared_utterances
from allophone.preparation import chunks, worker
from allophone.preparation.chunks import Chunk, ChunkDone
from allophone.progress import Track, untracked
from allophone.registry import Registry

_SAVE_SECONDS = 20.0
"""How much reading of files a killed run may have to repeat."""


@frozen
class Shard:
    """One of several machines' parts of the work: `index` of `count`, from 1."""

    index: int = field(default=1, validator=validators.ge(1))
    count: int = field(default=1, validator=validators.ge(1))

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "I/N"; UserError for anything else."""
        index, slash, count = text.partition("/")
        if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
            return cls(int(index), int(count))
        raise UserError(
            f"Invalid --shard value '{text}'.",
            hint="Write I/N, from 1/N to N/N: --shard 1/8 to --shard 8/8",
        )

    @property
    def name(self) -> str:
        """How files that belong to the shard are called."""
        return f"{self.index}-of-{self.count}"


@frozen(kw_only=True)
class Extracted:
    """What is stored after a run, and what is left out; of its shard, where there are several.

    computed: arrays that this run has added, by feature.
    notes: what was done to how many recordings in reading them.
    dropped: why an utterance is left out, by id; `report` is the file that names them all.
    """

    usable: int
    seconds: float
    computed: Mapping[str, int]
    notes: Mapping[str, int]
    dropped: Mapping[str, Dropped]
    report: Path


def extract(
    experiment: Experiment,
    registry: Registry,
    *,
    workers: int = 1,
    shard: Shard = Shard(),
    track: Track = untracked,
) -> Extracted:
    """Extract the features of an experiment's utterances that are not stored yet.

    workers: processes to share the work; 1 does it in this one. Other processes know the plugins that
        are installed, not those that `registry` may have beside them.
    UserError where there is no manifest, a feature cannot be had at all, or nothing is left to train on.
    """
    mine = chunks.cut(prepared_utterances(experiment))[shard.index - 1 :: shard.count]
    index = FeatureIndex(experiment, registry)
    for name in index.extractors:
        index.store(name).clean()
    undone = [sum(not _is_done(index, utterance) for utterance in chunk) for chunk in mine]
    todo = [chunk for chunk, count in zip(mine, undone, strict=True) if count]
    if sum(undone) <= chunks.CHUNK:
        # Starting processes would take longer.
        workers = 1
    computed: Counter[str] = Counter()
    notes: Counter[str] = Counter()

    def work() -> Iterator[Utterance]:
        saved = time.monotonic()
        for chunk, done in _results(experiment, index, todo, workers):
            index.digests.update(done.seen)
            computed.update(done.computed)
            notes.update(done.notes)
            if time.monotonic() - saved > _SAVE_SECONDS:
                _save_digests(index, mine, shard)
                saved = time.monotonic()
            yield from chunk

    try:
        for _ in track(work(), total=sum(map(len, todo)), description="Extracting"):
            pass
    finally:
        _save_digests(index, mine, shard)
    if workers > 1 and todo:
        index = FeatureIndex(experiment, registry)
    return _report(experiment, index, mine, shard, computed, notes)


def _is_done(index: FeatureIndex, utterance: Utterance) -> bool:
    """Whether nothing is to be extracted, or was dropped in an earlier run and is to be tried again."""
    if not all(is_as_known(path, index.digests[path]) for path in index.files(utterance)):
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
    """The chunks as they are done, in this process or in others."""
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
        futures = {pool.submit(worker.run, chunk): chunk for chunk in todo}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "A process that was extracting has died; the system may have run out of memory.",
            hint="What was stored is kept. Run it again, perhaps with fewer --workers.",
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
) -> Extracted:
    seconds = []
    dropped: dict[str, Dropped] = {}
    for utterance in (utterance for chunk in mine for utterance in chunk):
        found = index.find(utterance)
        if isinstance(found, StoredUtterance):
            seconds.append(found.seconds)
        else:
            assert found is not None, f"{utterance.id} was not extracted"
            dropped[utterance.id] = found
    name = "dropped.jsonl" if shard.count == 1 else f"dropped-{shard.name}.jsonl"
    report = Path(experiment.data.directory).expanduser() / name
    write_dropped(report, dropped)
    if mine and not seconds:
        id, why = next(iter(dropped.items()))
        raise UserError(
            f"None of {len(dropped)} utterances can be used. {id}: {why.reason}: {why.detail}",
            hint=f"{report} names them all, each with its reason.",
        )
    return Extracted(
        usable=len(seconds),
        seconds=sum(seconds),
        computed={name: computed[name] for name in index.extractors},
        notes=dict(notes),
        dropped=dropped,
        report=report,
    )
