"""Which utterances form a batch: like lengths together, within a budget, shared evenly by ranks. Light.

    lengths    sorted, and cut into buckets of about as many utterances each
    bucket     shuffled, and dealt out evenly to as few batches as the budget allows, their number a
               multiple of the ranks
    step       one batch a rank, all of one bucket, so that no rank waits for a longer one
    epoch      the steps of all buckets, shuffled

Every utterance comes once an epoch. The one exception: where the budget has room for a single utterance
of even the shortest bucket, what does not divide by the ranks sits out the epoch, another one each time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from attrs import frozen


@frozen
class _Bucket:
    """Utterances of like length: how many batches they make, and how many of them fit in those."""

    indices: tuple[int, ...]
    batches: int
    used: int


@frozen(kw_only=True)
class BatchPlan:
    """The batches of every epoch, as positions in the list of lengths.

    steps: batches of an epoch on each rank: the same number in every epoch.
    idle: utterances that sit out each epoch; see above.
    """

    steps: int
    idle: int
    world_size: int
    shuffle: bool
    seed: int
    _buckets: tuple[_Bucket, ...]

    def batches(self, epoch: int, rank: int) -> list[list[int]]:
        """The batches of one rank, in order."""
        # Python's generator, not NumPy's: its sequences are kept the same from version to version.
        generator = random.Random(f"{self.seed}:{epoch}")
        steps: list[list[list[int]]] = []
        for bucket in self._buckets:
            indices = list(bucket.indices)
            if self.shuffle:
                generator.shuffle(indices)
            dealt = _dealt(indices[: bucket.used], bucket.batches)
            steps += [
                dealt[first : first + self.world_size]
                for first in range(0, len(dealt), self.world_size)
            ]
        if self.shuffle:
            generator.shuffle(steps)
        return [step[rank] for step in steps]


def plan_batches(
    lengths: Sequence[float],
    *,
    max_length: float,
    max_items: int,
    buckets: int,
    world_size: int = 1,
    shuffle: bool = True,
    seed: int = 0,
) -> BatchPlan:
    """Plan the batches of utterances with these lengths.

    max_length: the budget of a batch: its longest utterance times how many it has.
    max_items: and no more utterances than these.
    buckets: into how many groups of like length the utterances are sorted, as long as each group has
        enough for a batch of `max_items` on each rank.

    ValueError where one utterance exceeds the budget or there are fewer utterances than ranks.
    """
    if len(lengths) < world_size:
        raise ValueError(f"{len(lengths)} utterances cannot be shared by {world_size} ranks")
    if max(lengths) > max_length:
        raise ValueError(f"an utterance of {max(lengths)} exceeds the budget of {max_length}")
    longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    planned = []
    buckets = max(1, min(buckets, len(lengths) // (max_items * world_size)))
    for indices in _cut(longest_first, buckets, world_size):
        room = math.floor(max_length / lengths[indices[0]]) if lengths[indices[0]] else max_items
        steps = math.ceil(len(indices) / (min(max_items, room) * world_size))
        used = len(indices)
        if steps * world_size > used:
            steps = used // world_size
            used = steps * world_size
        planned.append(_Bucket(tuple(indices), steps * world_size, used))
    return BatchPlan(
        steps=sum(bucket.batches for bucket in planned) // world_size,
        idle=sum(len(bucket.indices) - bucket.used for bucket in planned),
        world_size=world_size,
        shuffle=shuffle,
        seed=seed,
        buckets=tuple(planned),
    )


def _cut(indices: list[int], buckets: int, world_size: int) -> list[list[int]]:
    """Cut a list into buckets that the ranks can share evenly; the last one has what is left over."""
    shares = len(indices) // world_size
    edges = [world_size * (shares * bucket // buckets) for bucket in range(buckets)]
    return [
        indices[first:last] for first, last in zip(edges, [*edges[1:], len(indices)], strict=True)
    ]


def _dealt(indices: list[int], batches: int) -> list[list[int]]:
    """Deal a list out to so many batches, whose sizes differ by one at most."""
    return [indices[first::batches] for first in range(batches)]
