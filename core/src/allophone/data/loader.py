"""Loads batches of stored features, epoch by epoch.

Shapes: B batch, L longest length of a feature in the batch.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import multiprocessing
import operator
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from allophone.data.batch import Batch, Padded
from allophone.data.batch_sampler import BatchSampler
from allophone.data.manifest import Dropped
from allophone.data.plans import PackedSteps
from allophone.data.store import StoredArray
from allophone.errors import UserError
from allophone.processes.lifetime import ignore_stops, stops_held_back
from allophone.text.symbols import SymbolTable

_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Example:
    """One utterance of a split: its stored features, and its speaker and language ids."""

    id: str
    features: Mapping[str, StoredArray]
    speaker: int
    language: int
    seconds: float


@frozen(kw_only=True)
class LoadedExample:
    """An example with its features in memory: arrays [L, ...] of float32 or int64."""

    example: Example
    features: Mapping[str, NDArray[Any]]


class ExampleDataset(Dataset[LoadedExample | UserError]):
    """Reads examples from the feature store and encodes symbols as ids of the symbol table.

    Errors are returned: if a worker process raised them, they would be shown with a traceback.
    """

    def __init__(self, examples: Sequence[Example], symbols: SymbolTable) -> None:
        self._examples = examples
        self._symbols = symbols

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> LoadedExample | UserError:
        example = self._examples[index]
        try:
            read = {name: self._numbers(stored.read()) for name, stored in example.features.items()}
        except UserError as error:
            return error
        return LoadedExample(example=example, features=read)

    def _numbers(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.kind == "U":
            return np.array(self._symbols.encode(array.tolist()), dtype=np.int64)
        return array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=False)


def collate(loaded: Sequence[LoadedExample]) -> Batch:
    """Collate examples to a batch, padding each feature with zeros to the longest."""
    examples = [item.example for item in loaded]
    return Batch(
        ids=tuple(example.id for example in examples),
        features={
            name: _padded([item.features[name] for item in loaded]) for name in loaded[0].features
        },
        speakers=torch.tensor([example.speaker for example in examples]),
        languages=torch.tensor([example.language for example in examples]),
        audio_seconds=sum(example.seconds for example in examples),
    )


def _collate_read(loaded: Sequence[LoadedExample | UserError]) -> Batch | UserError:
    """The batch, or the first of what could not be read."""
    whole = [item for item in loaded if isinstance(item, LoadedExample)]
    if len(whole) == len(loaded):
        return collate(whole)
    return next(item for item in loaded if isinstance(item, UserError))


def _padded(arrays: Sequence[NDArray[Any]]) -> Padded:
    lengths = [len(array) for array in arrays]
    values = np.zeros((len(arrays), max(lengths), *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for row, array in zip(values, arrays, strict=True):
        row[: len(array)] = array
    return Padded(values=torch.from_numpy(values), lengths=torch.tensor(lengths))


class EpochLoader:
    """Iterates over the batches of one split on one rank; resumable within an epoch.

    An iteration yields the rest of the current epoch and then advances to the next. The sampler plans the
    batches (`allophone.data.batch_sampler`): they depend only on the seed and the epoch, and every rank has the
    same number. A batch counts as consumed when it is yielded, so a state saved after batch k resumes at
    batch k + 1.

    epoch: number of finished epochs.
    position: number of batches of the current epoch that this rank has consumed.
    dropped: why an utterance of the split was dropped, by id.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        sampler: BatchSampler,
        symbols: SymbolTable,
        *,
        rank: int,
        workers: int,
        dropped: Mapping[str, Dropped],
        fingerprint: str,
    ) -> None:
        """Use `allophone.datasets.loading.Corpus.loader` to create a loader.

        fingerprint: tells which utterances the examples are; part of the saved state.
        """
        self.epoch = 0
        self.position = 0
        self.dropped = dropped
        self._sampler = sampler
        self._examples = examples
        self._fingerprint = fingerprint
        self._rank = rank
        self._planned: _Planned | None = None
        self._rest = _Batches()
        # A separate generator: otherwise each epoch would draw from the global one, which is checkpointed.
        self._loader: DataLoader[LoadedExample | UserError] = DataLoader(
            ExampleDataset(examples, symbols),
            batch_sampler=self._rest,
            collate_fn=_collate_read,
            num_workers=workers,
            worker_init_fn=ignore_stops,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),
        )

    def __len__(self) -> int:
        """Return the number of batches in the current epoch, which is the same on every rank."""
        return len(self._plan().batches)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches from `position` to the end of the epoch."""
        self._rest.start(self._plan().batches, self.position)
        for batch in self._read():
            self.position += 1
            yield batch
        self.epoch += 1
        self.position = 0

    @property
    def dropped_this_epoch(self) -> Mapping[str, Dropped]:
        """Why an utterance is left out of the current epoch, by id."""
        return self._plan().dropped

    def preview(self) -> Iterator[Batch]:
        """Yield the batches of this epoch from its start, without consuming them."""
        self._rest.start(self._plan().batches, 0)
        yield from self._read()

    def _read(self) -> Iterator[Batch]:
        with stops_held_back():  # Workers are started here.
            batches: Iterator[Batch | UserError] = iter(self._loader)
        for batch in batches:
            if isinstance(batch, UserError):
                raise batch
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and position, as plain data; it is the same on every rank."""
        return {"epoch": self.epoch, "position": self.position, "plan": self._plan().digest}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a saved state.

        If the data, the batching or the number of ranks has changed, the position is not valid: the epoch
        restarts, and a warning is logged. Raises KeyError and TypeError for other content.
        """
        self.epoch = operator.index(state["epoch"])
        self.position = operator.index(state["position"])
        if self.position and state["plan"] != self._plan().digest:
            _log.warning(
                "The utterances, the batching or the number of ranks have changed; restarting epoch %d.",
                self.epoch,
            )
            self.position = 0

    def _plan(self) -> _Planned:
        """Return this rank's part of the current epoch, cached."""
        if self._planned is None or self._planned.epoch != self.epoch:
            plan = self._sampler.epoch(self.epoch)
            packed = PackedSteps.of(plan.steps)
            self._planned = _Planned(
                epoch=self.epoch,
                batches=packed.of_rank(self._rank),
                dropped={self._examples[index].id: why for index, why in plan.dropped.items()},
                digest=_digest(packed, self._fingerprint),
            )
        return self._planned


@frozen(kw_only=True)
class _Planned:
    """The batches of one rank in an epoch, as positions; the digest is of the batches of all ranks."""

    epoch: int
    batches: Sequence[list[int]]
    dropped: Mapping[str, Dropped]
    digest: str


def _digest(steps: PackedSteps, fingerprint: str) -> str:
    digest = hashlib.blake2b(f"{len(steps)} {fingerprint}".encode(), digest_size=16)
    digest.update(np.diff(steps.bounds).astype(np.int64).tobytes())
    digest.update(steps.positions.astype(np.int64).tobytes())
    return digest.hexdigest()


class _Batches:
    """Batch sampler whose batches are set before each iteration."""

    def __init__(self) -> None:
        self.start([], 0)

    def start(self, batches: Sequence[list[int]], first: int) -> None:
        self._batches, self._first = batches, first

    def __iter__(self) -> Iterator[list[int]]:
        return (self._batches[number] for number in range(self._first, len(self._batches)))

    def __len__(self) -> int:
        return len(self._batches) - self._first


@atexit.register
def _kill_workers() -> None:
    """Kill the workers that an error has left: they ignore the SIGTERM by which multiprocessing would end them."""
    left = [child for child in multiprocessing.active_children() if child.daemon]
    if left and hasattr(signal, "SIGCHLD"):
        # PyTorch raises an error from here when a worker is killed.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for child in left:
        child.kill()
