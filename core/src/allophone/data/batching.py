"""The batch sampler `length-buckets`: utterances of similar length, within a budget, shared evenly by ranks. Light.

    weights    an utterance of weight 2 takes two places in every epoch, one of weight 0.5 shares a
               place with the next one in length
    lengths    of the places, sorted, and cut into buckets of about as many each
    bucket     shuffled, and dealt out evenly to as few batches as the budget allows, their number a
               multiple of the ranks
    step       one batch a rank, all of one bucket, so that no rank waits for a longer one
    epoch      the steps of all buckets, shuffled

Every utterance comes once an epoch, or as often as its weight says: exactly so where that is a whole
number, and otherwise on average. The one exception: where the budget has room for a single utterance of
even the shortest bucket, what does not divide by the ranks sits out the epoch, another one each time.

All of it follows from the seed and the number of the epoch, so an epoch can be entered anywhere.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from attrs import field, frozen, validators

from allophone.data.batch_sampler import BatchingConfig, EpochPlan, SamplingContext
from allophone.data.manifest import Dropped
from allophone.errors import UserError

_positive: Any = validators.gt(0)

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
"""Its multiples, taken modulo 1, are spread more evenly than random numbers."""


@frozen(kw_only=True)
class LengthBucketsConfig(BatchingConfig):
    """Batches of utterances of similar length.

    max_seconds: audio per batch on one device, including padding.
    max_utterances: the maximum number of utterances per batch.
    buckets: the number of length buckets.
    """

    max_seconds: float = field(default=120.0, validator=_positive)
    max_utterances: int = field(default=32, validator=_positive)
    buckets: int = field(default=16, validator=_positive)


@frozen
class _Rota:
    """Utterances of one weight, longest first, and how many of them come in an epoch.

    They are read with a stride of `len(members) / places`, which begins elsewhere in each epoch. So a
    place goes to utterances that are neighbours in length, and all have the same share of it.
    """

    members: tuple[int, ...]
    places: int

    def longest(self) -> list[int]:
        """The longest utterance that each place can have."""
        return self._strided(0.0)

    def of(self, epoch: int) -> list[int]:
        """The utterance that each place has in an epoch; none has two."""
        return self._strided(epoch * _GOLDEN_RATIO % 1)

    def _strided(self, begin: float) -> list[int]:
        stride = len(self.members) / self.places
        return [self.members[math.floor((place + begin) * stride)] for place in range(self.places)]


@frozen
class _Bucket:
    """Places of similar length: how many batches they make, and how many of them fit in those."""

    places: tuple[int, ...]
    batches: int
    used: int


@frozen(kw_only=True)
class LengthBuckets:
    """The batches of every epoch, as positions in the list of lengths.

    idle: places that sit out each epoch because of the ranks; see above.
    """

    idle: int
    world_size: int
    shuffle: bool
    seed: int
    _rotas: tuple[_Rota, ...]
    _buckets: tuple[_Bucket, ...]

    def epoch(self, number: int) -> EpochPlan:
        """The plan of an epoch: as many steps in each."""
        # Python's generator, not NumPy's: its sequences are kept the same from version to version.
        generator = random.Random(f"{self.seed}:{number}")
        taken = [index for rota in self._rotas for index in rota.of(number)]
        steps: list[list[list[int]]] = []
        idle: set[int] = set()
        for bucket in self._buckets:
            indices = [taken[place] for place in bucket.places]
            if self.shuffle:
                generator.shuffle(indices)
            idle.update(indices[bucket.used :])
            dealt = _dealt(indices[: bucket.used], bucket.batches)
            steps += [
                dealt[first : first + self.world_size]
                for first in range(0, len(dealt), self.world_size)
            ]
        if self.shuffle:
            generator.shuffle(steps)
        if idle:
            # With a weight above 1 an utterance may have another place.
            idle -= {index for step in steps for batch in step for index in batch}
        why = Dropped(
            reason="cannot be divided among the ranks",
            detail=f"{self.world_size} ranks, one utterance per batch; raise data.batching.max_seconds",
        )
        return EpochPlan(steps=steps, dropped=dict.fromkeys(sorted(idle), why))


def build(config: LengthBucketsConfig, context: SamplingContext) -> LengthBuckets:
    """Build the sampler of a split. Raises UserError if an utterance is longer than a batch may be."""
    longest = max(range(len(context.seconds)), key=context.seconds.__getitem__)
    if context.seconds[longest] > config.max_seconds:
        count = sum(seconds > config.max_seconds for seconds in context.seconds)
        raise UserError(
            f"{count} utterances of the split '{context.split}' are longer than a batch "
            f"(data.batching.max_seconds is {config.max_seconds:g}); the longest is "
            f"{context.utterances[longest].id} with {context.seconds[longest]:.1f} s.",
            hint="Raise data.batching.max_seconds, or lower data.limits.max_seconds to leave them out.",
        )
    return plan_batches(
        context.seconds,
        weights=context.weights,
        max_length=config.max_seconds,
        max_items=config.max_utterances,
        buckets=config.buckets,
        world_size=context.ranks,
        shuffle=context.shuffle,
        seed=context.seed,
    )


def plan_batches(
    lengths: Sequence[float],
    *,
    weights: Sequence[float] | None = None,
    max_length: float,
    max_items: int,
    buckets: int,
    world_size: int = 1,
    shuffle: bool = True,
    seed: int = 0,
) -> LengthBuckets:
    """Plan the batches of utterances with these lengths.

    weights: how often each of them comes in an epoch, on average; once, where it is None.
    max_length: the budget of a batch: its longest utterance times how many it has.
    max_items: and no more utterances than these.
    buckets: into how many length buckets the utterances are sorted, as long as each of them has
        enough for a batch of `max_items` on each rank.

    ValueError where one utterance exceeds the budget or fewer come in an epoch than there are ranks.
    """
    if max(lengths) > max_length:
        raise ValueError(f"an utterance of {max(lengths)} exceeds the budget of {max_length}")
    rotas = _rotas(lengths, [1.0] * len(lengths) if weights is None else weights)
    longest = [lengths[index] for rota in rotas for index in rota.longest()]
    if len(longest) < world_size:
        raise ValueError(
            f"{len(longest)} utterances an epoch cannot be shared by {world_size} ranks"
        )
    longest_first = sorted(range(len(longest)), key=lambda place: (-longest[place], place))
    planned = []
    buckets = max(1, min(buckets, len(longest) // (max_items * world_size)))
    for places in _cut(longest_first, buckets, world_size):
        room = math.floor(max_length / longest[places[0]]) if longest[places[0]] else max_items
        steps = math.ceil(len(places) / (min(max_items, room) * world_size))
        used = len(places)
        if steps * world_size > used:
            steps = used // world_size
            used = steps * world_size
        planned.append(_Bucket(tuple(places), steps * world_size, used))
    return LengthBuckets(
        idle=sum(len(bucket.places) - bucket.used for bucket in planned),
        world_size=world_size,
        shuffle=shuffle,
        seed=seed,
        rotas=rotas,
        buckets=tuple(planned),
    )


def _rotas(lengths: Sequence[float], weights: Sequence[float]) -> tuple[_Rota, ...]:
    """A rota of one place each for every whole part of a weight, and one for the fraction."""
    rotas = []
    for weight in sorted(set(weights)):
        alike = [index for index, own in enumerate(weights) if own == weight]
        members = tuple(sorted(alike, key=lambda index: (-lengths[index], index)))
        fraction, whole = math.modf(weight)
        rotas += [_Rota(members, len(members))] * int(whole)
        if fraction:
            rotas.append(_Rota(members, max(1, round(fraction * len(members)))))
    return tuple(rotas)


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
