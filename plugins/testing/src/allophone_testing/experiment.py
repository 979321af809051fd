"""What the contracts of a trainer and of a synthesizer have in common: a recipe, and something to learn.

The recipe is taken as it is, but for its data: a little corpus of synthetic speech (`testing.corpus`),
which is prepared and extracted by the same code as any other. So the plugin's own feature extractors
run too, and nothing comes from the network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
import torch
from attrs import evolve

from allophone.config import Experiment, resolve
from allophone.data.batch import Batch
from allophone.data.vocabulary import Vocabulary
from allophone.datasets.loading import Corpus, open_corpus
from allophone.entries import TrainerEntry
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import Registry
from allophone.training.objective import Objective
from allophone.training.seeding import seed_everything
from allophone_testing.contract import Contract
from allophone_testing.corpus import LABELS, PAUSE, write_corpus


class ExperimentContract(Contract):
    """Set `recipe` in a subclass; the rest has defaults.

    recipe: the name of a recipe, or the path of a TOML file.
    stage: which of its stages, where it has any.
    overrides: as with `--set`; make the model small, so that the tests take seconds.
    phonemizer: replaces the recipe's, so that no phonemizer has to be installed; None keeps it.
    utterances, speakers: of the synthetic corpus; four of the utterances are the validation split.
    batch_size: how many utterances a batch has.
    labels: whether the corpus comes with the times of its letters, for recipes whose features
        read label files; silent letters are then the phone "pau".
    """

    recipe: str
    stage: str | None = None
    overrides: tuple[str, ...] = ()
    phonemizer: str | None = "graphemes"
    utterances: int = 12
    speakers: int = 1
    batch_size: int = 4
    labels: bool = False

    @pytest.fixture(scope="class")
    @classmethod
    def experiment(cls, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
        """The recipe with the synthetic corpus for its data, which is prepared and extracted."""
        place = tmp_path_factory.mktemp("contract")
        resolved = resolve(
            cls.recipe,
            [*cls.on_synthetic_data(place), *cls.overrides],
            stage=cls.stage,
            registry=registry,
        )
        experiment = resolved.experiment
        write_corpus(
            place / "recordings",
            utterances=cls.utterances,
            speakers=cls.speakers,
            sample_rate=experiment.audio.sample_rate,
            labels=cls.labels,
        )
        prepare(experiment, registry)
        extract(experiment, registry)
        return experiment

    @classmethod
    def on_synthetic_data(cls, place: Path) -> Iterator[str]:
        """The overrides that put the synthetic corpus in the place of the recipe's own."""
        columns = ["audio", "text"] + ["speaker"] * (cls.speakers > 1)
        table = {"type": '"table"', "root": _toml(place / "recordings"), "columns": _toml(columns)}
        corpus = ", ".join(f"{key} = {value}" for key, value in table.items())
        yield f"data.corpora=[{{{corpus}}}]"
        yield f"data.directory={_toml(place / 'data')}"
        yield "data.splits={valid = 4, test = 0, golden_test = 0}"
        yield f"data.batching={{max_seconds = 1000, max_utterances = {cls.batch_size}, workers = 0}}"
        yield "runtime.precision=fp32"
        yield "runtime.compile=false"
        yield "runtime.accumulate=1"
        if cls.phonemizer is not None:
            yield f"text.phonemizer.type={cls.phonemizer}"
        if cls.labels:
            yield f"data.labels={_toml(place / 'recordings' / LABELS)}"
            phones = {letter: letter for letter in ascii_lowercase} | {" ": PAUSE, ".": PAUSE}
            yield f"text.phones={{{', '.join(f'{_toml(k)} = {_toml(v)}' for k, v in phones.items())}}}"

    @pytest.fixture(scope="class")
    @classmethod
    def corpus(cls, experiment: Experiment, registry: Registry) -> Corpus:
        """The extracted corpus, opened for training."""
        return open_corpus(experiment, registry)

    @pytest.fixture(scope="class")
    @classmethod
    def vocabulary(cls, corpus: Corpus) -> Vocabulary:
        """The symbols, speakers and languages of the corpus."""
        return corpus.build_vocabulary()

    @pytest.fixture(scope="class")
    @classmethod
    def batch(
        cls, experiment: Experiment, corpus: Corpus, vocabulary: Vocabulary, registry: Registry
    ) -> Batch:
        """The first batch of the training split."""
        objective = build_objective(experiment, vocabulary, registry)
        loader = corpus.loader("train", features=objective.features, vocabulary=vocabulary)
        return next(iter(loader))


def build_objective(
    experiment: Experiment, vocabulary: Vocabulary, registry: Registry
) -> Objective:
    """The objective of an experiment, with the same random weights each time."""
    seed_everything(0)
    build = registry.load("trainers", trainer_of(experiment, registry).name, "objective")
    objective: Objective = build(experiment, vocabulary)
    return objective


def trainer_of(experiment: Experiment, registry: Registry) -> TrainerEntry:
    """The entry of an experiment's trainer."""
    entry: TrainerEntry = registry.entry_of("trainers", experiment.trainer)
    return entry


def padded_further(batch: Batch) -> Batch:
    """The same utterances in longer tensors, as if a longer utterance were among them."""
    return evolve(
        batch,
        features={
            name: evolve(padded, values=_padded(padded.values))
            for name, padded in batch.features.items()
        },
    )


def _padded(values: torch.Tensor) -> torch.Tensor:
    """[B, L, ...] with half as much again, and a little, of zeros at the end of L."""
    more = values.shape[1] // 2 + 3
    return torch.cat([values, values.new_zeros(len(values), more, *values.shape[2:])], dim=1)


def _toml(value: Any) -> str:
    """A path, or a list of words, as TOML."""
    return json.dumps(str(value) if isinstance(value, Path) else value)
