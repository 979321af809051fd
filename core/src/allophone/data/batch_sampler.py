"""What a batch sampler is: what it is told of a split, what it plans, and the rules of a plan. Light.

A sampler is built once for each split of a run, and asked for one epoch after another:

    def balanced(config: BalancedConfig, context: SamplingContext) -> BatchSampler: ...

    plan = sampler.epoch(3)
    plan.steps[0][1]        # the utterances of the first step on the second rank

The rules of a plan, which hold on every rank, since every rank makes the whole plan:

- It depends on the config, the context and the number of the epoch alone, so that ranks agree and a run
  that is resumed goes on where it was. Draw from `random.Random(f"{context.seed}:{epoch}")`.
- A step is one batch a rank, and no batch is empty: so all ranks have as many.
- Every utterance whose weight is at least 1 is in a batch, or in `dropped` with the reason.
- Where `context.once`, none is in two batches; where not `context.shuffle`, all epochs are the same.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Protocol

from attrs import Factory, field, frozen, validators

from allophone.data.manifest import Dropped, Split, Utterance

_NAMED = 3


@frozen(kw_only=True)
class BatchingConfig:
    """What the table `[data.batching]` of every batch sampler has: the class that its config extends.

    workers: processes that read ahead; 0 reads in the training process.
    """

    workers: int = field(default=0, validator=validators.ge(0))


@frozen(kw_only=True)
class SamplingContext:
    """What a batch sampler is told. Utterances are known by their positions in `utterances`.

    split: which split they are of.
    utterances: what can be used of the split, in the order of the manifest.
    seconds: how much audio is stored of each.
    weights: how often each should come in an epoch, on average, by the corpus that it is of.
    once: whether each is to come once an epoch, as for validation; all weights are 1 then.
    shuffle: whether epochs differ; True for the training split.
    ranks: how many processes train together, and so how many batches a step has.
    seed: of the run.
    """

    split: Split
    utterances: Sequence[Utterance]
    seconds: Sequence[float]
    weights: Sequence[float]
    once: bool
    shuffle: bool
    ranks: int
    seed: int


@frozen(kw_only=True)
class EpochPlan:
    """The batches of one epoch.

    steps: in order, each a batch a rank, each batch the positions of its utterances.
    dropped: what sits this epoch out, and why, by position; what has a weight below 1 may be left unsaid.
    """

    steps: Sequence[Sequence[Sequence[int]]]
    dropped: Mapping[int, Dropped] = Factory(dict)


class BatchSampler(Protocol):
    """Plans the batches of a split."""

    def epoch(self, number: int) -> EpochPlan:
        """The plan of an epoch, counted from 0; epochs may be asked for in any order, and again."""
        ...


def check_plan(plan: EpochPlan, context: SamplingContext) -> None:
    """ValueError naming the rule that the plan of an epoch breaks, and where; TypeError for what is no position."""
    if not plan.steps:
        raise ValueError("it has no steps")
    for number, step in enumerate(plan.steps):
        if len(step) != context.ranks:
            raise ValueError(f"step {number} has {len(step)} batches for {context.ranks} ranks")
        for rank, batch in enumerate(step):
            if not len(batch):
                raise ValueError(f"the batch of rank {rank} in step {number} is empty")
    names = context.utterances
    given = positions(plan)
    for position in (min(given), max(given)):
        if not 0 <= position < len(names):
            raise ValueError(f"it has position {position}, and there are {len(names)} utterances")
    distinct = set(given)
    if context.once and len(distinct) < len(given):
        twice = [index for index, count in Counter(given).items() if count > 1]
        raise ValueError(f"each should come once, and more often come {_listed(twice, names)}")
    if both := [index for index in plan.dropped if index in distinct]:
        raise ValueError(f"both dropped and in a batch are {_listed(both, names)}")
    if len(distinct) == len(names):
        return
    absent = set(range(len(names))) - distinct - plan.dropped.keys()
    if forgotten := sorted(index for index in absent if context.weights[index] >= 1):
        raise ValueError(f"neither in a batch nor dropped are {_listed(forgotten, names)}")


def positions(plan: EpochPlan) -> array[int]:
    """The utterances of all batches, one after the other; TypeError for what is no position."""
    return array("q", chain.from_iterable(chain.from_iterable(plan.steps)))


def _listed(positions: Sequence[int], utterances: Sequence[Utterance]) -> str:
    shown = ", ".join(utterances[position].id for position in positions[:_NAMED])
    return f"{len(positions)} utterances: {shown}{', ...' if len(positions) > _NAMED else ''}"
