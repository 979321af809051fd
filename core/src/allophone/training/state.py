"""The state of a training run, and how it is saved to and restored from checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from attrs import define, field

from allophone.config.experiment import Experiment
from allophone.data.batch import Batch
from allophone.data.loader import EpochLoader
from allophone.data.vocabulary import Vocabulary
from allophone.entries import Score
from allophone.files.run_folder import AVERAGE, WEIGHTS, Checkpoint, read_provenance
from allophone.registry import Registry
from allophone.training.checkpoint import Snapshot, errors_of_state, read_state
from allophone.training.early_stop import EarlyStop
from allophone.training.ema import MovingAverage
from allophone.training.objective import Objective
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone.training.scoring import SampleScorer
from allophone.training.seeding import (
    fork_rng,
    random_state,
    restore_random_state,
)
from allophone.weights.files import add_prefix, read_weights, strip_prefix
from allophone.weights.loading import load_weights

_log = logging.getLogger(__name__)


@define(kw_only=True)
class Run:
    """A training run on one rank.

    inference_module: name of the objective's module that voices consist of.
    train: loader of the training split.
    valid: loader of the validation split, or None if it is empty.
    samples: validation batches to log as audio and images; empty except on rank 0.
    average: moving average of the inference module's weights, or None.
    scores: scores of the experiment's metrics, by name.
    scorer: computes the scores; on rank 0, if there are metrics.
    early_stop: counts validations without an improvement, or None.
    validation: the latest validation metrics, including scores.
    """

    folder: Path
    experiment: Experiment
    registry: Registry
    rank: Rank
    vocabulary: Vocabulary
    objective: Objective
    runtime: TrainerRuntime
    inference_module: str
    train: EpochLoader
    valid: EpochLoader | None = None
    samples: Sequence[Batch] = ()
    scores: Mapping[str, Score] = field(factory=dict)
    scorer: SampleScorer | None = None
    average: MovingAverage | None = None
    early_stop: EarlyStop | None = None
    validation: dict[str, float] = field(factory=dict)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Context manager for evaluation: eval mode, averaged weights if there are any, and a fixed seed."""
        averaged = self.average.applied() if self.average else nullcontext()
        seed = self.experiment.runtime.seed + self.rank.index
        with averaged, self.runtime.evaluating(), fork_rng(seed):
            yield

    def snapshot(self) -> Snapshot:
        """Return the content of a checkpoint. Collective: every rank must call it."""
        state = {
            "runtime": self.runtime.state_dict(),
            "train": self.train.state_dict(),
            "random": self.rank.gather(random_state()),
            **({"early_stop": self.early_stop.state_dict()} if self.early_stop else {}),
        }
        return Snapshot(
            weights={
                name: tensor
                for prefix, module in self.runtime.modules.items()
                for name, tensor in add_prefix(module.state_dict(), prefix).items()
            },
            average=add_prefix(self.average.state_dict(), self.inference_module)
            if self.average
            else None,
            state=state,
            experiment=self.experiment,
            vocabulary=self.vocabulary,
            epoch=self.train.epoch,
            validation=self.validation,
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the weights and the training state of a checkpoint."""
        state = read_state(checkpoint)
        weights = read_weights(checkpoint.path / WEIGHTS)
        for prefix, module in self.runtime.modules.items():
            load_weights(
                module, strip_prefix(weights, prefix), where=f"{checkpoint.path}, {prefix}"
            )
        if self.average:
            kept = checkpoint.path / AVERAGE
            averages = read_weights(kept) if kept.is_file() else weights
            self.average.load_state_dict(
                strip_prefix(averages, self.inference_module), where=str(kept)
            )
        with errors_of_state(checkpoint):
            if state["runtime"]["step"] != checkpoint.step:
                raise ValueError(f"it is the state of step {state['runtime']['step']}")
            same_ranks = len(state["random"]) == self.rank.world_size
            self.runtime.load_state_dict(state["runtime"])
            self.train.load_state_dict(state["train"])
            if self.early_stop and "early_stop" in state:
                self.early_stop.load_state_dict(state["early_stop"])
            if same_ranks:
                restore_random_state(state["random"][self.rank.index])
        self.validation = read_provenance(checkpoint)["validation"]
        if not same_ranks:
            _log.warning(
                "The number of ranks has changed from %d to %d; random states are not restored.",
                len(state["random"]),
                self.rank.world_size,
            )
