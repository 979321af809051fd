"""The contract of a batch sampler.

from allophone_testing import BatchSamplerContract

class TestBalanced(BatchSamplerContract):
    sampler = "balanced"
    options = {"per_speaker": 2}
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import evolve

from allophone.config import Experiment, structure
from allophone.data.batch_sampler import BatchingConfig, EpochPlan, SamplingContext
from allophone.data.manifest import Utterance
from allophone.datasets.sampling import CheckedSampler, open_sampler
from allophone.errors import UserError
from allophone.registry import Registry
from allophone_testing.contract import Contract


class BatchSamplerContract(Contract):
    """The plans of a batch sampler keep the rules (`allophone.data.batch_sampler`) and are reproducible.

    sampler: its name, `type` in `[data.batching]`.
    options: further keys of its table.
    ranks: the numbers of ranks to test with.
    epochs: the number of epochs to plan.
    utterances: the number of utterances in the split.
    """

    sampler: str
    options: Mapping[str, Any] = {}
    ranks: tuple[int, ...] = (1, 2, 3)
    epochs: int = 4
    utterances: int = 60

    @classmethod
    def contexts(cls) -> Mapping[str, SamplingContext]:
        """The inputs of the tests, by purpose: four speakers of two corpora, 1 to 10 seconds."""
        draw = random.Random(0)
        utterances = [
            Utterance(
                id=f"utterance-{number:03d}",
                audio=f"{number}.wav",
                text="boats came home. " * draw.randint(1, 4),
                speaker=f"speaker-{draw.choice((0, 0, 0, 1, 1, 2, 3))}",
                corpus=f"corpus-{number % 2}",
                split="train",
            )
            for number in range(cls.utterances)
        ]
        training = SamplingContext(
            split="train",
            utterances=utterances,
            seconds=[draw.uniform(1, 10) for _ in utterances],
            weights=[1.0 for _ in utterances],
            once=False,
            shuffle=True,
            ranks=1,
            seed=1,
        )
        return {
            "training": training,
            "weighted training": evolve(
                training, weights=[(0.5, 2.0)[number % 2] for number in range(cls.utterances)]
            ),
            "statistics": evolve(training, once=True),
            "validation": evolve(training, split="valid", once=True, shuffle=False),
        }

    def test_its_config_has_workers(self, registry: Registry) -> None:
        config = self._config(registry)
        assert isinstance(config, BatchingConfig), (
            f"{type(config).__qualname__} must extend allophone.data.batch_sampler.BatchingConfig: the "
            "loader asks it for `workers`."
        )

    def test_its_plans_keep_the_rules(self, registry: Registry) -> None:
        for purpose, context in self._all_contexts():
            sampler = self._open(registry, context)
            for epoch in range(self.epochs):
                self._plan(sampler, epoch, purpose)

    def test_a_plan_depends_on_the_epoch_and_the_seed_alone(self, registry: Registry) -> None:
        for purpose, context in self._all_contexts():
            sampler = self._open(registry, context)
            in_order = [self._plan(sampler, epoch, purpose) for epoch in range(self.epochs)]
            resumed = self._open(registry, context)
            # Another process has drawn other numbers before.
            random.seed(len(purpose))
            for epoch in reversed(range(self.epochs)):
                again = self._plan(resumed, epoch, purpose)
                assert again == in_order[epoch], (
                    f"For {purpose} on {context.ranks} ranks, epoch {epoch} is another when it is asked for "
                    "first: ranks would disagree, and a resumed run would go on elsewhere. Draw from "
                    'random.Random(f"{context.seed}:{epoch}"), and keep nothing from one epoch to the next.'
                )

    def test_it_leaves_the_random_numbers_of_the_run_alone(self, registry: Registry) -> None:
        for purpose, context in self._all_contexts():
            before = random.getstate()
            self._plan(self._open(registry, context), 0, purpose)
            assert random.getstate() == before, (
                "It draws from Python's shared generator, and so changes what is random elsewhere in the run: "
                'use random.Random(f"{context.seed}:{epoch}").'
            )

    def test_validation_has_one_order(self, registry: Registry) -> None:
        context = self.contexts()["validation"]
        sampler = self._open(registry, context)
        first, second = (self._plan(sampler, epoch, "validation") for epoch in (0, 1))
        assert first == second, (
            "Without context.shuffle epochs 0 and 1 differ: validation would not be the same each time."
        )

    def test_the_order_of_training_changes(self, registry: Registry) -> None:
        context = self.contexts()["training"]
        sampler = self._open(registry, context)
        first, second = (self._plan(sampler, epoch, "training") for epoch in (0, 1))
        assert first != second, (
            "With context.shuffle epochs 0 and 1 are the same: draw the order from the number of the epoch."
        )

    def _all_contexts(self) -> list[tuple[str, SamplingContext]]:
        return [
            (purpose, evolve(context, ranks=ranks))
            for purpose, context in self.contexts().items()
            for ranks in self.ranks
        ]

    def _config(self, registry: Registry) -> Any:
        table = {"data": {"batching": {"type": self.sampler, **self.options}}}
        return structure(Experiment, table, registry=registry).data.batching

    def _open(self, registry: Registry, context: SamplingContext) -> CheckedSampler:
        try:
            return open_sampler(self._config(registry), context, registry)
        except UserError as error:
            pytest.fail(f"It cannot be built: {error}")

    def _plan(self, sampler: CheckedSampler, epoch: int, purpose: str) -> EpochPlan:
        """A plan as lists; the test fails where it breaks a rule."""
        try:
            plan = sampler.epoch(epoch)
        except UserError as error:
            pytest.fail(f"For {purpose} on {sampler.context.ranks} ranks: {error}")
        steps = [[list(batch) for batch in step] for step in plan.steps]
        return EpochPlan(steps=steps, dropped=dict(plan.dropped))
