"""What the runtime expects of an objective: the contract of a trainer.

from allophone_testing import TrainerContract

class TestTraining(TrainerContract):
    recipe = "mine/tiny"
    overrides = ("model.channels=16",)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve
from torch import Tensor

from allophone.config import Experiment, unstructure, write_toml
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.events import SampleAudio
from allophone.files.run_folder import WEIGHTS, checkpoints, find_checkpoint
from allophone.registry import Registry
from allophone.training.checkpoint import read_state
from allophone.training.loop import train
from allophone.training.objective import Metrics, optional
from allophone.training.ranks import Rank
from allophone.training.run import open_run
from allophone.training.runtime import TrainerRuntime
from allophone.training.seeding import fork_rng
from allophone.weights.files import read_weights
from allophone_testing.experiment import ExperimentContract, build_objective, padded_further
from allophone_testing.gpu import PRECISIONS, Precision, first_and_last
from allophone_testing.gradients import SEED, GradientRecorder
from allophone_testing.ranks import train_on_ranks

ROUNDING = 1e-4
"""By how much two ways to compute the same may differ, relative to its size."""


class TrainerContract(ExperimentContract):
    """A recipe's objective learns, and keeps the promises that the runtime builds on.

    metric: what must fall, as `eval_step` names it; unless set, the recipe's `runtime.keep.best_metric`.
    learning_steps: how many steps it is given, all on the same batch.
    falls_to: to what share of its first value the metric must fall by then.
    padding_metrics: the metrics of `eval_step` that an utterance must have however much its batch is
        padded; None means all. Leave out those that draw random numbers of the batch's shape.
    """

    metric: str | None = None
    learning_steps: int = 20
    falls_to: float = 0.95
    padding_metrics: tuple[str, ...] | None = None

    def test_each_parameter_has_one_optimizer(
        self, experiment: Experiment, vocabulary: Vocabulary, registry: Registry
    ) -> None:
        objective = build_objective(experiment, vocabulary, registry)
        planned = [name for plan in objective.optimizers().values() for name in plan.modules]
        twice = sorted({name for name in planned if planned.count(name) > 1})
        assert not twice, f"{twice} belong to two optimizers: name each module in one plan."
        forgotten = [
            name
            for name, module in objective.modules.items()
            if name not in planned and any(p.requires_grad for p in module.parameters())
        ]
        assert not forgotten, (
            f"{forgotten} have parameters, and no optimizer trains them: name them in a plan, or set "
            "requires_grad of what is not to be trained to False."
        )

    def test_gradients_reach_every_parameter(
        self, experiment: Experiment, vocabulary: Vocabulary, registry: Registry, batch: Batch
    ) -> None:
        objective = recorded(experiment, vocabulary, registry, learn=True)
        runtime = objective.runtime(experiment.runtime)
        silent = set(objective.parameters())
        # What stands behind a layer that begins with zeros is reached in the second or third step.
        for _ in range(3):
            runtime.take_step([batch])
            unused = sorted(silent - objective.gradients.keys())
            assert not unused, (
                f"No loss depends on {listed(unused)}. On several GPUs training would stop here: "
                "remove what is not used, or build it only where the config asks for it."
            )
            silent -= {name for name, grad in objective.gradients.items() if grad.count_nonzero()}
        assert not silent, (
            f"The gradients of {listed(sorted(silent))} are all zero in each of three steps, so it "
            "learns nothing: is it cut off by a detach(), a mask, or a factor of zero?"
        )

    def test_a_step_gives_scalars(
        self, experiment: Experiment, vocabulary: Vocabulary, registry: Registry, batch: Batch
    ) -> None:
        objective = recorded(experiment, vocabulary, registry)
        runtime = objective.runtime(experiment.runtime)
        given = {
            "train_step": runtime.take_step([batch])[0],
            "eval_step": evaluate(runtime, batch),
        }
        for where, metrics in given.items():
            shaped = [name for name, value in metrics.items() if torch.as_tensor(value).ndim]
            assert not shaped, f"{where} gives {shaped}, which are not scalars: take their means."
            broken = [name for name, value in metrics.items() if not np.isfinite(float(value))]
            assert not broken, (
                f"{where} gives {broken}, which are NaN or infinite at the first step."
            )

    def test_loss_falls_on_one_batch(
        self, experiment: Experiment, vocabulary: Vocabulary, registry: Registry, batch: Batch
    ) -> None:
        objective = build_objective(experiment, vocabulary, registry)
        runtime = TrainerRuntime(objective, experiment.runtime, Rank())
        metric = self.metric or experiment.runtime.keep.best_metric or ""
        before = evaluate(runtime, batch)
        assert metric in before, (
            f"eval_step gives {sorted(before)}, and this test looks at '{metric}': set `metric` in the "
            "test, or runtime.keep.best_metric in the recipe, to one of them."
        )
        for _ in range(self.learning_steps):
            runtime.take_step([batch])
        after = float(evaluate(runtime, batch)[metric])
        first = float(before[metric])
        assert after < self.falls_to * first, (
            f"{metric} was {first:.4g} at first and is {after:.4g} after {self.learning_steps} steps on "
            f"the same batch; it should fall to {self.falls_to:.0%}. Is the learning rate too low or "
            "too high? Does the loss that is handed to rt.update depend on it?"
        )

    @pytest.mark.gpu
    @pytest.mark.parametrize("precision", PRECISIONS)
    def test_loss_falls_on_a_gpu(
        self,
        experiment: Experiment,
        vocabulary: Vocabulary,
        registry: Registry,
        batch: Batch,
        precision: Precision,
    ) -> None:
        metric = self.metric or experiment.runtime.keep.best_metric or ""
        before, after = first_and_last(
            experiment, vocabulary, registry, batch, precision=precision, steps=self.learning_steps
        )
        first, last = float(before[metric]), float(after[metric])
        assert last < self.falls_to * first, (
            f"In {precision} on a GPU {metric} was {first:.4g} at first and is {last:.4g} after "
            f"{self.learning_steps} steps on the same batch; it should fall to {self.falls_to:.0%}. Do losses "
            "leave the autocast in float32?"
        )

    def test_padding_changes_nothing(
        self, experiment: Experiment, vocabulary: Vocabulary, registry: Registry, batch: Batch
    ) -> None:
        objective = build_objective(experiment, vocabulary, registry)
        runtime = TrainerRuntime(objective, experiment.runtime, Rank())
        alone = evaluate(runtime, batch)
        padded = evaluate(runtime, padded_further(batch))
        names = alone.keys() if self.padding_metrics is None else self.padding_metrics
        changed = {
            name: (float(alone[name]), float(padded[name]))
            for name in names
            if not np.isclose(float(alone[name]), float(padded[name]), rtol=ROUNDING, atol=1e-6)
        }
        assert not changed, (
            f"With more padding after the same utterances eval_step gives {changed} (without, with). "
            "Mask what is past an utterance's end at the input of each layer that sees neighbours and "
            "in each mean. If a metric draws random numbers of the batch's shape, leave it out of "
            "`padding_metrics`."
        )

    def test_accumulation_equals_the_batch(
        self, experiment: Experiment, vocabulary: Vocabulary, registry: Registry, batch: Batch
    ) -> None:
        once = recorded(experiment, vocabulary, registry, repeatable=True)
        once.runtime(experiment.runtime).take_step([batch])
        twice = recorded(experiment, vocabulary, registry, repeatable=True)
        twice.runtime(experiment.runtime, accumulate=2).take_step([batch, batch])
        size = max(float(grad.norm()) for grad in once.gradients.values())
        different = [
            name
            for name, grad in once.gradients.items()
            if (grad - twice.gradients[name]).norm() > ROUNDING * (grad.norm() + ROUNDING * size)
        ]
        assert not different, (
            f"A batch that is taken twice, halved, gives other gradients to {listed(different)} than "
            "the same batch once. Does the objective remember something from batch to batch, or does "
            "one optimizer's loss reach another one's modules outside of rt.frozen(...)?"
        )

    def test_resume_is_bit_identical(
        self, experiment: Experiment, registry: Registry, tmp_path: Path
    ) -> None:
        train_quietly(experiment, registry, tmp_path / "whole", until=3)
        train_quietly(experiment, registry, tmp_path / "parts", until=1)
        train_quietly(experiment, registry, tmp_path / "parts", until=3, resume=True)
        whole, parts = (find_checkpoint(tmp_path / name) for name in ("whole", "parts"))
        before, after = (read_weights(found.path / WEIGHTS) for found in (whole, parts))
        different = [name for name in before if not torch.equal(before[name], after[name])]
        assert not different, (
            f"After a resume {listed(different)} differ from those of a run that was not interrupted. "
            "State beside the weights must be in buffers of the modules; random numbers must come from "
            "the generators of torch, NumPy or random."
        )
        assert equal(read_state(whole)["runtime"], read_state(parts)["runtime"]), (
            "After a resume, the state of the optimizers differs from the unbroken run's."
        )

    def test_two_ranks_train(
        self, experiment: Experiment, registry: Registry, tmp_path: Path
    ) -> None:
        plain = unstructure(quiet(experiment, until=2), registry=registry)
        write_toml(tmp_path / "experiment.toml", plain)
        failure = train_on_ranks(tmp_path / "experiment.toml", tmp_path / "run")
        assert failure is None, f"Training on two ranks failed: {failure}"
        saved = [found.step for found in checkpoints(tmp_path / "run")]
        assert saved == [2], f"After two steps there are checkpoints of {saved}."

    def test_samples_can_be_shown(
        self, experiment: Experiment, vocabulary: Vocabulary, registry: Registry, batch: Batch
    ) -> None:
        objective = build_objective(experiment, vocabulary, registry)
        if not optional(objective, "sample"):
            pytest.skip("This objective makes no samples.")
        runtime = TrainerRuntime(objective, experiment.runtime, Rank())
        with runtime.evaluating():
            samples = runtime.sample(batch)
        assert samples, "sample() gives nothing to hear or see."
        for name, sample in samples.items():
            if isinstance(sample, SampleAudio):
                values, axes = sample.samples, ["N"]
            else:
                values, axes = sample.values, ["height", "width"]
            assert isinstance(values, np.ndarray), (
                f"{name} is not a NumPy array: .float().cpu().numpy()"
            )
            assert values.ndim == len(axes), f"{name} should be {axes}, not {list(values.shape)}."
            assert np.isfinite(values).all(), f"{name} holds NaN or infinity."


def train_quietly(
    experiment: Experiment, registry: Registry, folder: Path, *, until: int, resume: bool = False
) -> None:
    """Train in `folder` up to a step, with nothing but a checkpoint at the end."""
    checkpoint = find_checkpoint(folder) if resume else None
    planned = quiet(experiment, until=until)
    train(open_run(folder, planned, rank=Rank(), registry=registry, resume=checkpoint))


def quiet(experiment: Experiment, *, until: int) -> Experiment:
    """The experiment up to a step, without validation, samples and checkpoints on the way."""
    never = 10**6
    config = evolve(
        experiment.runtime,
        max_steps=until,
        validate_every=never,
        sample_every=never,
        checkpoint_every=never,
        metrics={},
        keep=evolve(experiment.runtime.keep, best_metric=None),
    )
    return evolve(experiment, runtime=config)


def recorded(
    experiment: Experiment,
    vocabulary: Vocabulary,
    registry: Registry,
    *,
    learn: bool = False,
    repeatable: bool = False,
) -> GradientRecorder:
    """The experiment's objective, always with the same weights, to look at its gradients."""
    objective = build_objective(experiment, vocabulary, registry)
    return GradientRecorder(objective, learn=learn, repeatable=repeatable)


def evaluate(runtime: TrainerRuntime, batch: Batch) -> Metrics:
    """What `eval_step` gives, as validation calls it, always from the same random numbers."""
    with runtime.evaluating(), fork_rng(SEED):
        return runtime.evaluate(batch)


def equal(one: Any, other: Any) -> bool:
    """Whether two nested states are the same, tensors bit for bit."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def listed(names: list[str]) -> str:
    """The first few names, and how many there are beside them."""
    shown = 8
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
