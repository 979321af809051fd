"""The batch sampler `length-buckets`: batches of utterances of similar length, within a budget of seconds.

    places     An epoch has a number of places. An utterance of weight 2 fills two places in every epoch;
               one of weight 0.5 shares a place with the utterance next in length.
    buckets    The places are sorted by length and divided into buckets of about the same size.
    batches    Each bucket is shuffled and divided evenly into as few batches as the budget allows; their
               number is a multiple of the number of ranks.
    steps      A step is one batch per rank, all from the same bucket, so that no rank waits for a
               longer batch.
    epoch      The steps of all buckets, shuffled.

An utterance occurs in an epoch as often as its weight says (once by default): exactly, if the weight is a
whole number, and on average otherwise. Exception: if a batch has room for only one utterance of a bucket,
the places that cannot be divided among the ranks stay idle, with different utterances in each epoch.

The batches depend only on the seed and the number of the epoch, so an epoch can be resumed at any step.
Imports attrs only.
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
"""Its multiples modulo 1 are spread more evenly than random numbers."""


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
    """Utterances that take turns in a number of places: longest first, all with the same share.

    The utterances of an epoch are taken with a stride of `len(members) / places`, from an offset that
    changes every epoch. So the utterances that take turns in a place have similar lengths.
    """

    members: tuple[int, ...]
    places: int

    def longest(self) -> list[int]:
        """Return the longest utterance of each place."""
        return self._strided(0.0)

    def at(self, epoch: int) -> list[int]:
        """Return the utterance of each place in an epoch; they are distinct."""
        return self._strided(epoch * _GOLDEN_RATIO % 1)

    def _strided(self, offset: float) -> list[int]:
        stride = len(self.members) / self.places
        return [self.members[math.floor((place + offset) * stride)] for place in range(self.places)]


@frozen
class _Bucket:
    """Places of similar length, the number of batches they form, and how many places these use."""

    places: tuple[int, ...]
    batches: int
    used: int


@frozen(kw_only=True)
class LengthBuckets:
    """The batches of every epoch, as indices into the list of lengths.

    idle: number of places left empty in each epoch because of the number of ranks.
    """

    idle: int
    world_size: int
    shuffle: bool
    seed: int
    _rotas: tuple[_Rota, ...]
    _buckets: tuple[_Bucket, ...]

    def epoch(self, number: int) -> EpochPlan:
        """Return the plan of an epoch; all epochs have the same number of steps."""
        # Python's generator, not NumPy's: its sequences are the same in all versions.
        generator = random.Random(f"{self.seed}:{number}")
        filled = [index for rota in self._rotas for index in rota.at(number)]
        steps: list[list[list[int]]] = []
        idle: set[int] = set()
        for bucket in self._buckets:
            indices = [filled[place] for place in bucket.places]
            if self.shuffle:
                generator.shuffle(indices)
            idle.update(indices[bucket.used :])
            batches = _divide(indices[: bucket.used], bucket.batches)
            steps += [
                batches[first : first + self.world_size]
                for first in range(0, len(batches), self.world_size)
            ]
        if self.shuffle:
            generator.shuffle(steps)
        if idle:
            # With a weight above 1 an utterance can have another place.
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
    """Plan the batches of utterances with the given lengths.

    weights: average number of occurrences of each utterance in an epoch; None for once each.
    max_length: budget of a batch: the length of its longest utterance times its number of utterances.
    max_items: maximum number of utterances in a batch.
    buckets: maximum number of length buckets; fewer are used if a bucket would hold less than a batch of
        `max_items` for each rank.

    Raises ValueError if an utterance exceeds the budget, or if an epoch has fewer utterances than ranks.
    """
    if max(lengths) > max_length:
        raise ValueError(f"an utterance of {max(lengths)} exceeds the budget of {max_length}")
    rotas = _rotas(lengths, [1.0] * len(lengths) if weights is None else weights)
    longest = [lengths[index] for rota in rotas for index in rota.longest()]
    if len(longest) < world_size:
        raise ValueError(
            f"an epoch of {len(longest)} utterances is too small for {world_size} ranks"
        )
    longest_first = sorted(range(len(longest)), key=lambda place: (-longest[place], place))
    planned = []
    buckets = max(1, min(buckets, len(longest) // (max_items * world_size)))
    for places in _split_buckets(longest_first, buckets, world_size):
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
    """Return, for each weight, a full rota for each unit of its whole part, and one for its fraction."""
    rotas = []
    for weight in sorted(set(weights)):
        equal = [index for index, own in enumerate(weights) if own == weight]
        members = tuple(sorted(equal, key=lambda index: (-lengths[index], index)))
        fraction, whole = math.modf(weight)
        rotas += [_Rota(members, len(members))] * int(whole)
        if fraction:
            rotas.append(_Rota(members, max(1, round(fraction * len(members)))))
    return tuple(rotas)


def _split_buckets(indices: list[int], buckets: int, world_size: int) -> list[list[int]]:
    """Split a list into buckets divisible by the number of ranks; the last one gets the remainder."""
    shares = len(indices) // world_size
    edges = [world_size * (shares * bucket // buckets) for bucket in range(buckets)]
    return [
        indices[first:last] for first, last in zip(edges, [*edges[1:], len(indices)], strict=True)
    ]


def _divide(indices: list[int], batches: int) -> list[list[int]]:
    """Divide a list into batches whose sizes differ by at most one."""
    return [indices[first::batches] for first in range(batches)]
