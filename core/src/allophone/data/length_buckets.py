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
Imports NumPy.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from allophone.data.batch_sampler import EpochPlan, SamplingContext
from allophone.data.batching import LengthBucketsConfig
from allophone.data.manifest import Dropped
from allophone.data.plans import PackedSteps
from allophone.errors import UserError

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
"""Its multiples modulo 1 are spread more evenly than random numbers."""


@frozen(eq=False)
class _Rota:
    """Utterances that take turns in a number of places: longest first, all with the same share.

    The utterances of an epoch are taken with a stride of `len(members) / places`, from an offset that
    changes every epoch. So the utterances that take turns in a place have similar lengths.
    """

    members: NDArray[np.int64]
    places: int

    def longest(self) -> NDArray[np.int64]:
        """Return the longest utterance of each place."""
        return self._strided(0.0)

    def at(self, epoch: int) -> NDArray[np.int64]:
        """Return the utterance of each place in an epoch; they are distinct."""
        return self._strided(epoch * _GOLDEN_RATIO % 1)

    def _strided(self, offset: float) -> NDArray[np.int64]:
        stride = len(self.members) / self.places
        return self.members[np.floor((np.arange(self.places) + offset) * stride).astype(np.int64)]


@frozen(eq=False)
class _Bucket:
    """Places of similar length, the number of batches they form, and how many places these use."""

    places: NDArray[np.int64]
    batches: int
    used: int


@frozen(kw_only=True, eq=False)
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
        filled = np.concatenate([rota.at(number) for rota in self._rotas])
        batches: list[NDArray[np.int64]] = []
        sizes: list[NDArray[np.int64]] = []
        idle: list[NDArray[np.int64]] = []
        for bucket in self._buckets:
            indices = filled[bucket.places]
            if self.shuffle:
                indices = _shuffled(indices, generator)
            idle.append(indices[bucket.used :])
            divided, counts = _divide(indices[: bucket.used], bucket.batches)
            batches.append(divided)
            sizes.append(counts)
        positions = np.concatenate(batches)
        bounds = np.concatenate([[0], np.cumsum(np.concatenate(sizes))])
        if self.shuffle:
            steps = np.arange((len(bounds) - 1) // self.world_size)
            positions, bounds = _reordered(
                positions, bounds, self.world_size, _shuffled(steps, generator)
            )
        # With a weight above 1 an utterance can have another place.
        left = np.concatenate(idle)
        left = np.setdiff1d(left, positions) if len(left) else left
        why = Dropped(
            reason="cannot be divided among the ranks",
            detail=f"{self.world_size} ranks, one utterance per batch; raise data.batching.max_seconds",
        )
        return EpochPlan(
            steps=PackedSteps(positions, bounds, self.world_size),
            dropped=dict.fromkeys(left.tolist(), why),
        )


def build(config: LengthBucketsConfig, context: SamplingContext) -> LengthBuckets:
    """Build the sampler of a split. Raises UserError if an utterance is longer than a batch may be."""
    seconds = np.asarray(context.seconds)
    longest = int(seconds.argmax())
    if seconds[longest] > config.max_seconds:
        count = int((seconds > config.max_seconds).sum())
        raise UserError(
            f"{count} utterances of the split '{context.split}' are longer than a batch "
            f"(data.batching.max_seconds is {config.max_seconds:g}); the longest is "
            f"{context.utterances[longest].id} with {seconds[longest]:.1f} s.",
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
    given = np.asarray(lengths, np.float64)
    if given.max() > max_length:
        raise ValueError(f"an utterance of {given.max()} exceeds the budget of {max_length}")
    rotas = _rotas(given, np.ones(len(given)) if weights is None else np.asarray(weights))
    longest = np.concatenate([given[rota.longest()] for rota in rotas])
    if len(longest) < world_size:
        raise ValueError(
            f"an epoch of {len(longest)} utterances is too small for {world_size} ranks"
        )
    longest_first = np.argsort(-longest, kind="stable")
    planned = []
    buckets = max(1, min(buckets, len(longest) // (max_items * world_size)))
    for places in _split_buckets(longest_first, buckets, world_size):
        top = float(longest[places[0]])
        room = math.floor(max_length / top) if top else max_items
        steps = math.ceil(len(places) / (min(max_items, room) * world_size))
        used = len(places)
        if steps * world_size > used:
            steps = used // world_size
            used = steps * world_size
        planned.append(_Bucket(places, steps * world_size, used))
    return LengthBuckets(
        idle=sum(len(bucket.places) - bucket.used for bucket in planned),
        world_size=world_size,
        shuffle=shuffle,
        seed=seed,
        rotas=rotas,
        buckets=tuple(planned),
    )


def _rotas(lengths: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[_Rota, ...]:
    """Return, for each weight, a full rota for each unit of its whole part, and one for its fraction."""
    rotas: list[_Rota] = []
    for weight in np.unique(weights).tolist():
        equal = np.flatnonzero(weights == weight)
        members = equal[np.argsort(-lengths[equal], kind="stable")]
        fraction, whole = math.modf(weight)
        rotas += [_Rota(members, len(members))] * int(whole)
        if fraction:
            rotas.append(_Rota(members, max(1, round(fraction * len(members)))))
    return tuple(rotas)


def _split_buckets(
    places: NDArray[np.int64], buckets: int, world_size: int
) -> list[NDArray[np.int64]]:
    """Split places into buckets divisible by the number of ranks; the last one gets the remainder."""
    shares = len(places) // world_size
    edges = [world_size * (shares * bucket // buckets) for bucket in range(buckets)]
    return [
        places[first:last] for first, last in zip(edges, [*edges[1:], len(places)], strict=True)
    ]


def _shuffled(values: NDArray[np.int64], generator: random.Random) -> NDArray[np.int64]:
    shuffled = values.tolist()
    generator.shuffle(shuffled)
    return np.array(shuffled, np.int64)


def _divide(
    indices: NDArray[np.int64], batches: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Deal indices out to batches in turn: the batches one after the other, and the size of each."""
    whole, rest = divmod(len(indices), batches)
    dealt = np.full((whole + 1, batches), -1, np.int64)
    dealt.ravel()[: len(indices)] = indices
    divided = dealt.T.ravel()
    return divided[divided >= 0], whole + (np.arange(batches) < rest)


def _reordered(
    positions: NDArray[np.int64], bounds: NDArray[np.int64], ranks: int, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Put steps, each of `ranks` batches, into another order."""
    batches = (order[:, None] * ranks + np.arange(ranks)).ravel()
    sizes = np.diff(bounds)[batches]
    moved = np.concatenate([[0], np.cumsum(sizes)])
    # Each position comes from its old batch, at the same place within it.
    origin = np.repeat(bounds[:-1][batches] - moved[:-1], sizes) + np.arange(moved[-1])
    return positions[origin], moved
