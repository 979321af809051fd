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

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import Factory, field, frozen, validators

from allophone.data.manifest import Dropped, Split, Utterance


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
    utterances: its usable utterances, in the order of the manifest. Each is read when it is asked for.
    seconds: the audio of each; `np.asarray` makes an array of it without a copy.
    weights: likewise, how often each should occur per epoch on average: the weight of its corpus.
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
