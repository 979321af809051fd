"""Corpora of a handful of utterances: their splits, and training on them."""

from __future__ import annotations

from collections import Counter
from itertools import islice, permutations

import pytest
import torch
from attrs import evolve
from letters_toy import letters_registry

from allophone.config import load_experiment, read_toml, resolve, structure
from allophone.config.experiment import SplitsConfig
from allophone.data.manifest import Utterance
from allophone.errors import ConfigError, UserError
from allophone.files.run_folder import checkpoints
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.preparation.splits import assign_splits
from allophone.training import capacity
from allophone.training.loop import train
from allophone.training.ranks import Rank
from allophone.training.run import open_run
from allophone_testing.corpus import write_corpus


def utterances(count):
    return [Utterance(id=f"u{n:04d}", audio="x", text=f"text {n}") for n in range(count)]


def splits(assigned):
    return {utterance.id: utterance.split for utterance in assigned}


@pytest.mark.parametrize(
    ("there", "valid", "test", "expected"),
    [
        (1, 0.02, 0.02, {"train": 1}),
        (1, 100, 500, {"train": 1}),
        (2, 0.02, 0.02, {"train": 1, "valid": 1}),
        (3, 0.02, 0.02, {"train": 1, "valid": 1, "test": 1}),
        (3, 100, 500, {"train": 1, "valid": 1, "test": 1}),
        (12, 100, 500, {"train": 6, "valid": 3, "test": 3}),
        (10, 5, 5, {"train": 6, "valid": 2, "test": 2}),
        (12, 0, 12, {"train": 9, "test": 3}),
    ],
)
def test_splits_never_take_all_there_is_to_train_on(caplog, there, valid, test, expected):
    config = SplitsConfig(valid=valid, test=test, golden_test=0)
    assert Counter(splits(assign_splits([utterances(there)], config)).values()) == expected
    lowered = valid + test >= there or there < 3
    assert bool(caplog.records) == lowered
    if lowered:
        assert f"none of {there} utterances to train on" in caplog.text


@pytest.mark.parametrize(
    ("there", "wanted", "golden"),
    [(3, 2, 2), (3, 3, 2), (1, 2, 0), (8, 4, 4), (4, 0, 0), (0, 2, 0)],
)
def test_golden_utterances_are_as_many_as_were_asked_for_or_it_is_said(
    caplog, there, wanted, golden
):
    theirs = [evolve(u, id=f"t{u.id}", split="test") for u in utterances(there)]
    config = SplitsConfig(valid=0, test=0, golden_test=wanted)
    assigned = splits(assign_splits([[*theirs, *utterances(5)]], config))
    assert Counter(assigned.values())["golden_test"] == golden
    said = f"golden_test asks for {wanted} utterances" in caplog.text
    assert said == (golden < wanted and there > 0)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"valid": 2.5}, "valid must be a share of at least 0 and below 1, .*; it is 2.5"),
        ({"test": 1.0}, "test must be a share"),
        ({"valid": -1}, "valid must be a share"),
        ({"test": -0.5}, "test must be a share"),
        ({"valid": 0.5, "test": 0.6}, "shares that leave nothing to train on"),
        ({"golden_test": -1}, "golden_test must be a list of ids or a count, not -1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_splits_that_mean_nothing_are_refused(table, complaint):
    with pytest.raises(ConfigError, match=complaint):
        structure(SplitsConfig, table)


def test_a_count_with_a_point_is_taken_and_named(caplog):
    assert structure(SplitsConfig, {"valid": 2.0}).valid == 2
    assert [one.getMessage() for one in caplog.records] == [
        "[data.splits]: 2.0 is a count of 2 utterances; write it as 2."
    ]


RECIPE = """
[data]
directory = "{0}/data"
[[data.corpora]]
type = "table"
root = "{0}/recordings"
[data.splits]
valid = 100
test = 500
[audio]
sample_rate = 8000
n_fft = 256
hop_length = 64
win_length = 256
[features.waveform]
[features.phonemes]
[model]
type = "letters"
[trainer]
type = "letters"
[runtime]
max_steps = 2
[runtime.keep]
best_metric = "loss"
"""


@pytest.fixture(scope="module")
def registry():
    return letters_registry()


@pytest.fixture
def prepared(tmp_path, registry):
    """prepared(count, *overrides, rows) prepares and extracts a corpus, and gives its experiment."""

    def prepared(count, *overrides, rows=None):
        write_corpus(tmp_path / "recordings", utterances=count, sample_rate=8000)
        same_letters = enumerate(islice(permutations("abcd"), count))
        rows = rows or [f"utterance-{n:03d}.wav|{''.join(text)}" for n, text in same_letters]
        (tmp_path / "recordings" / "metadata.csv").write_text("\n".join(rows))
        (tmp_path / "recipe.toml").write_text(RECIPE.format(tmp_path))
        resolved = resolve(tmp_path / "recipe.toml", overrides, registry=registry)
        prepare(resolved.experiment, registry)
        extract(resolved.experiment, registry)
        return resolved.experiment

    return prepared


def opened(folder, experiment, registry, **how):
    return open_run(folder, experiment, rank=Rank(**how), registry=registry)


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_training_starts_on_as_few_utterances_as_there_are(
    prepared, registry, tmp_path, caplog, count
):
    run = opened(tmp_path / "run", prepared(count), registry)
    assert train(run) == "max_steps"
    assert [found.step for found in checkpoints(tmp_path / "run")] == [2]
    assert (run.valid is None) == (count == 1)
    assert ("Without effect: runtime.keep.best_metric = 'loss'." in caplog.text) == (count == 1)


def test_a_validation_utterance_with_a_symbol_that_training_lacks_is_named(
    prepared, registry, tmp_path, caplog
):
    columns = 'data.corpora.0.columns=["audio", "text", "split"]'
    name = "utterance-00{}.wav".format
    rows = [f"{name(0)}|aba|train", f"{name(1)}|abc|valid", f"{name(2)}|bab|valid"]
    experiment = prepared(3, columns, rows=rows)
    run = opened(tmp_path / "run", experiment, registry)
    assert [batch.ids for batch in run.valid] == [("utterance-002",)]
    assert "1 of 2 utterances of the split 'valid' are left out" in caplog.text
    assert "unknown symbol 1 (utterance-001: 'c')" in caplog.text

    caplog.clear()
    run = opened(tmp_path / "none", prepared(2, columns, rows=rows[:2]), registry)
    assert run.valid is None
    assert "unknown symbol 1 (utterance-001: 'c')" in caplog.text
    assert "runtime.keep.best_metric = 'loss'" in caplog.text
    assert train(run) == "max_steps"


def test_a_validation_utterance_of_an_unknown_speaker_is_named(
    prepared, registry, tmp_path, caplog
):
    columns = 'data.corpora.0.columns=["audio", "text", "split", "speaker"]'
    name = "utterance-00{}.wav".format
    rows = [f"{name(0)}|aba|train|ann", f"{name(1)}|ab|valid|bob"]
    assert opened(tmp_path / "run", prepared(2, columns, rows=rows), registry).valid is None
    assert "unknown speaker 1 (utterance-001: bob)" in caplog.text


def test_fewer_validation_utterances_than_ranks_are_no_reason_to_stop(
    prepared, registry, tmp_path, caplog
):
    experiment = prepared(3)
    corpus_loader = opened(tmp_path / "run", experiment, registry).valid
    assert len(corpus_loader) == 1
    valid = validation_data(experiment, registry, Rank(index=1, world_size=2))
    assert valid is None
    assert "The split 'valid' has 1 utterance that can be used, for 2 ranks" in caplog.text


def validation_data(experiment, registry, rank):
    from allophone.datasets.loading import open_corpus
    from allophone.training.run import _validation_data

    corpus = open_corpus(experiment, registry)
    vocabulary = corpus.build_vocabulary()
    objective = registry.load("trainers", "letters", "objective")(experiment, vocabulary)
    return _validation_data(corpus, objective, vocabulary, rank)[0]


def test_what_a_recipe_sets_is_taken_back_by_none(prepared, registry, tmp_path):
    experiment = prepared(3)
    assert experiment.runtime.keep.best_metric == "loss"
    recipe = tmp_path / "recipe.toml"

    def set_to(*overrides):
        return resolve(recipe, overrides, registry=registry).experiment

    assert set_to("runtime.keep.best_metric=none").runtime.keep.best_metric is None
    assert set_to('runtime.keep.best_metric="none"').runtime.keep.best_metric is None
    assert set_to("data.limits.max_seconds=none").data.limits.max_seconds is None
    assert set_to("model=none").model is None
    recipe.write_text(
        recipe.read_text().replace('"loss"', '"none"') + '\n[data.limits]\nmin_seconds = "none"\n'
    )
    in_file = set_to()
    assert (in_file.runtime.keep.best_metric, in_file.data.limits.min_seconds) == (None, None)

    run = opened(tmp_path / "run", in_file, registry)
    assert load_experiment(tmp_path / "run" / "config.toml", registry=registry) == in_file
    assert read_toml(tmp_path / "run" / "config.toml")["data"]["limits"]["min_seconds"] == "none"
    assert train(run) == "max_steps"
    with pytest.raises(
        ConfigError, match="runtime.max_steps: must be a whole number, not the string 'nine'"
    ):
        set_to("runtime.max_steps=nine")
    with pytest.raises(
        ConfigError, match="data.directory: must be a string|runtime.seed: must be a whole"
    ):
        set_to("runtime.seed=none")


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        (
            "trainer.segment_size=100000000",
            "segments of 100,000,000 samples .12,500.0 s., and the longest",
        ),
        ("model.layers=1000000", "has more than 20,000 parameter tensors"),
        ("model.channels=20000", "weights take more than .* GiB, and training them"),
        ("model.channels=10000000000", "larger than the memory of this machine"),
        ("model.channels=99999999999999999999", "model.channels: must fit in 64 bits"),
        ("trainer.learning_rate=inf", "trainer.learning_rate: must be a finite number, not inf"),
        ("trainer.learning_rate=nan", "trainer.learning_rate: must be a finite number, not nan"),
        ("trainer.learning_rate=1e999", "trainer.learning_rate: must be a finite number, not inf"),
        (
            "trainer.learning_rate=-1.0",
            "The optimizer 'model' refuses its settings: .*learning rate: -1",
        ),
        ("trainer.betas=[2.0, 0.9]", "The optimizer 'model' refuses its settings: .*beta.* 2.0"),
        ("runtime.clip_norm=inf", "runtime.clip_norm: must be a finite number, not inf"),
        ("runtime.seed=99999999999999999999999", "runtime.seed: must fit in 64 bits"),
        ("runtime.seed=-1", "seed must be at least 0 and at most 4294967295, not -1"),
        ("runtime.seed=4294967296", "seed must be at least 0"),
        (f"runtime.seed={'9' * 5000}", "The value of --set runtime.seed is not valid TOML"),
        ("data.splits.valid=2.5", "valid must be a share .* or a count, as in 20; it is 2.5"),
        (f"data.corpora={'[' * 50000}{']' * 50000}", "--set data.corpora is nested too deep"),
        (f"{'a.' * 5000}b=1", "--set is nested too deep"),
    ],
)
def test_what_neither_data_nor_machine_can_hold_is_refused_before_there_is_a_run(
    prepared, registry, tmp_path, monkeypatch, override, complaint
):
    prepared(3)
    monkeypatch.setattr(capacity, "_available_memory", lambda: 2**30)
    with pytest.raises(ConfigError, match=complaint) as caught:
        opened(
            tmp_path / "run",
            resolve(tmp_path / "recipe.toml", [override], registry=registry).experiment,
            registry,
        )
    assert not (tmp_path / "run").exists()
    assert len(str(caught.value)) < 500


def test_a_model_that_fits_only_without_its_gradients_is_refused(monkeypatch):
    modules = [torch.nn.Linear(1000, 1000)]  # 4 MB
    monkeypatch.setattr(capacity, "_available_memory", lambda: 13_000_000)
    capacity.check_fits(modules, torch.device("cpu"))
    monkeypatch.setattr(capacity, "_available_memory", lambda: 11_000_000)
    with pytest.raises(
        ConfigError, match="weights take 3.8 MiB, and training them at least 15.3 MiB"
    ):
        capacity.check_fits(modules, torch.device("cpu"))
    modules[0].requires_grad_(False)
    capacity.check_fits(modules, torch.device("cpu"))


def test_weights_that_are_replaced_are_counted_once(monkeypatch):
    monkeypatch.setattr(capacity, "_available_memory", lambda: 10_000_000)
    built = []
    with capacity.limited(torch.device("cpu")):
        normed = torch.nn.utils.parametrizations.weight_norm
        built.extend(normed(torch.nn.Linear(500, 500)) for _ in range(3))  # 1 MB each
    with pytest.raises(ConfigError, match="The model's"), capacity.limited(torch.device("cpu")):
        built.extend(torch.nn.Linear(500, 500) for _ in range(6))
    torch.nn.Linear(1000, 2000)


def test_toml_that_is_nested_too_deep_is_refused(tmp_path):
    path = tmp_path / "deep.toml"
    for text in (
        f"x = {'[' * 100}{']' * 100}",
        f"x = {'[' * 9999}{']' * 9999}",
        f"[{'a.' * 2000}b]",
    ):
        path.write_text(text)
        with pytest.raises(
            ConfigError, match=r"deep\.toml is nested too deep; expected at most 32"
        ):
            read_toml(path)


def test_an_experiment_without_corpora_is_told_to_name_one(prepared, registry, tmp_path):
    prepared(3)
    experiment = resolve(
        tmp_path / "recipe.toml", ["data.corpora=[]"], registry=registry
    ).experiment
    with pytest.raises(UserError, match="The experiment has no corpus") as caught:
        prepare(experiment, registry)
    assert "[[data.corpora]]" in caught.value.hint
