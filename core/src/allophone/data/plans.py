"""Plans of batch samplers: packed into arrays, and checked. Imports NumPy."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import overload

import numpy as np
from numpy.typing import NDArray

from allophone.data.batch_sampler import EpochPlan, SamplingContext
from allophone.data.manifest import Utterance

_NAMED = 3


def check_plan(plan: EpochPlan, context: SamplingContext) -> None:
    """Check the plan of an epoch. Raises ValueError that names the rule which it breaks, or TypeError."""
    if not len(plan.steps):
        raise ValueError("it has no steps")
    _check_shape(plan.steps, context.ranks)
    names = context.utterances
    given = PackedSteps.of(plan.steps).positions
    for position in (int(given.min()), int(given.max())):
        if not 0 <= position < len(names):
            raise ValueError(f"it has position {position}, and there are {len(names)} utterances")
    counts = np.bincount(given, minlength=len(names))
    if context.once and (counts > 1).any():
        twice = np.flatnonzero(counts > 1)
        raise ValueError(f"each should occur once, but several times occur {_listed(twice, names)}")
    if both := [index for index in plan.dropped if 0 <= index < len(names) and counts[index]]:
        raise ValueError(f"both dropped and in a batch are {_listed(both, names)}")
    absent = counts == 0
    absent[[index for index in plan.dropped if 0 <= index < len(names)]] = False
    forgotten = np.flatnonzero(absent & (np.asarray(context.weights) >= 1))
    if len(forgotten):
        raise ValueError(f"neither in a batch nor dropped are {_listed(forgotten, names)}")


def _check_shape(steps: Sequence[Sequence[Sequence[int]]], ranks: int) -> None:
    """Check that each step has one batch per rank, and none is empty."""
    if isinstance(steps, PackedSteps) and steps.ranks == ranks:
        for batch in np.flatnonzero(np.diff(steps.bounds) == 0)[:1].tolist():
            step, rank = divmod(batch, ranks)
            raise ValueError(f"the batch of rank {rank} in step {step} is empty")
        return
    for number, step in enumerate(steps):
        if len(step) != ranks:
            raise ValueError(f"step {number} has {len(step)} batches for {ranks} ranks")
        for rank, batch in enumerate(step):
            if not len(batch):
                raise ValueError(f"the batch of rank {rank} in step {number} is empty")


def _listed(positions: Sequence[int] | NDArray[np.int64], utterances: Sequence[Utterance]) -> str:
    shown = ", ".join(utterances[int(position)].id for position in positions[:_NAMED])
    return f"{len(positions)} utterances: {shown}{', ...' if len(positions) > _NAMED else ''}"


class PackedSteps(Sequence[Sequence[Sequence[int]]]):
    """The steps of a plan in two arrays: a plan of ten million utterances as lists takes a gigabyte.

    positions: those of all batches, one after the other.
    bounds: where each batch begins and ends in them [batches + 1]; a step is `ranks` batches in a row.
    """

    def __init__(self, positions: NDArray[np.int64], bounds: NDArray[np.int64], ranks: int) -> None:
        self.positions, self.bounds, self.ranks = positions, bounds, ranks

    @classmethod
    def of(cls, steps: Sequence[Sequence[Sequence[int]]]) -> PackedSteps:
        """Pack steps, which must all have the same number of batches. Raises TypeError if a position is not an integer."""
        if isinstance(steps, cls):
            return steps
        batches = list(chain.from_iterable(steps))
        bounds = np.cumsum([0, *map(len, batches)])
        # Not np.fromiter, which makes integers of other numbers.
        positions = np.array(array("q", chain.from_iterable(batches)), np.int64)
        return cls(positions, bounds, len(steps[0]))

    def __len__(self) -> int:
        return (len(self.bounds) - 1) // self.ranks

    @overload
    def __getitem__(self, index: int) -> list[list[int]]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[list[int]]]: ...
    def __getitem__(self, index: int | slice) -> list[list[int]] | list[list[list[int]]]:
        if isinstance(index, slice):
            return [self[step] for step in range(*index.indices(len(self)))]
        first = range(len(self))[index] * self.ranks
        return [self._batch(number) for number in range(first, first + self.ranks)]

    def of_rank(self, rank: int) -> Sequence[list[int]]:
        """The batches of a rank, in order."""
        return _BatchesOfRank(self, rank)

    def _batch(self, number: int) -> list[int]:
        batch: list[int] = self.positions[self.bounds[number] : self.bounds[number + 1]].tolist()
        return batch


class _BatchesOfRank(Sequence[list[int]]):
    def __init__(self, steps: PackedSteps, rank: int) -> None:
        self._steps, self._rank = steps, rank

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> list[int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...
    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        return self._steps[index][self._rank]
