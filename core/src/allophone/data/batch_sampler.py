"""The protocol of batch samplers: their input, their plans, and the rules for plans. Light.

A sampler is built once for each split of a run, and plans one epoch at a time:

    def balanced(config: BalancedConfig, context: SamplingContext) -> BatchSampler: ...

    plan = sampler.epoch(3)
    plan.steps[0][1]        # the utterances of the first step on the second rank

Every rank makes the plan of all ranks. Its rules:

- It depends only on the config, the context and the number of the epoch, so all ranks make the same plan,
  and so does a resumed run. Draw random numbers from `random.Random(f"{context.seed}:{epoch}")`.
- A step has one batch per rank, and no batch is empty, so all ranks have the same number of batches.
- Every utterance with a weight of at least 1 is in a batch, or in `dropped` with a reason.
- With `context.once`, no utterance occurs twice. Without `context.shuffle`, all epochs are the same.
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
    """The base class of the configs of batch samplers, `[data.batching]`.

    workers: data loading processes; 0 loads in the training process.
    """

    workers: int = field(default=0, validator=validators.ge(0))


@frozen(kw_only=True)
class SamplingContext:
    """The input of a batch sampler. Plans refer to utterances by their positions in `utterances`.

    split: the split that is batched.
    utterances: its usable utterances, in the order of the manifest.
    seconds: the audio of each.
    weights: how often each should occur per epoch on average: the weight of its corpus.
    once: whether each occurs once per epoch, as for validation; all weights are 1 then.
    shuffle: whether the order changes from epoch to epoch; True for the training split.
    ranks: the number of training processes, and so of batches per step.
    seed: the seed of the run.
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

    steps: in order; a step is a list of one batch per rank, a batch a list of positions.
    dropped: the utterances that this epoch leaves out, by position, and why. Those with a weight below 1 may
        be omitted.
    """

    steps: Sequence[Sequence[Sequence[int]]]
    dropped: Mapping[int, Dropped] = Factory(dict)


class BatchSampler(Protocol):
    """Plans the batches of a split."""

    def epoch(self, number: int) -> EpochPlan:
        """Return the plan of an epoch, counted from 0. Called in any order, and repeatedly."""
        ...


def check_plan(plan: EpochPlan, context: SamplingContext) -> None:
    """Check the plan of an epoch. Raises ValueError that names the rule which it breaks, or TypeError."""
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
        raise ValueError(f"each should occur once, but several times occur {_listed(twice, names)}")
    if both := [index for index in plan.dropped if index in distinct]:
        raise ValueError(f"both dropped and in a batch are {_listed(both, names)}")
    if len(distinct) == len(names):
        return
    absent = set(range(len(names))) - distinct - plan.dropped.keys()
    if forgotten := sorted(index for index in absent if context.weights[index] >= 1):
        raise ValueError(f"neither in a batch nor dropped are {_listed(forgotten, names)}")


def positions(plan: EpochPlan) -> array[int]:
    """Concatenate all batches. Raises TypeError if a position is not an integer."""
    return array("q", chain.from_iterable(chain.from_iterable(plan.steps)))


def _listed(positions: Sequence[int], utterances: Sequence[Utterance]) -> str:
    shown = ", ".join(utterances[position].id for position in positions[:_NAMED])
    return f"{len(positions)} utterances: {shown}{', ...' if len(positions) > _NAMED else ''}"
