"""Learning rates by parameter, freezing, warm-up, and the end of a training that no longer improves."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
import torch
from test_launch import TWO, losses_of, run
from training_toys import (
    GanConfig,
    Regressor,
    RegressorConfig,
    in_memory,
    make_experiment,
    script_experiment,
    toy_registry,
    train_toy,
)

from allophone.config import structure, unstructure
from allophone.config.experiment import (
    EarlyStopConfig,
    Experiment,
    ParametersConfig,
)
from allophone.errors import ConfigError, UserError
from allophone.events import RunFinished, StepFinished
from allophone.files.run_folder import checkpoints, find_checkpoint
from allophone.weights.files import read_weights


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture(autouse=True)
def memory():
    with in_memory():
        yield


def rule(match, **how):
    return ParametersConfig(match=match, **how)


def trained(folder, registry, steps, *rules, trainer=None, **runtime):
    """The weights after each step."""
    experiment = make_experiment(
        trainer, max_steps=steps, checkpoint_every=1, parameters=rules, **runtime
    )
    recorder = train_toy(folder, experiment, registry=registry)
    return recorder, [
        read_weights(found.path / "model.safetensors") for found in checkpoints(folder)
    ]


def moved(before, after):
    return {name for name in after if not torch.equal(before[name], after[name])}


def test_frozen_parameters_learn_from_their_step_on(tmp_path, registry):
    _, weights = trained(
        tmp_path,
        registry,
        5,
        rule("model.body.*", frozen_until=2),
        rule("model.body.3.bias", frozen=True),
    )
    body = {name for name in weights[0] if ".body." in name} - {"model.body.3.bias"}
    assert moved(weights[0], weights[1]) == {"model.symbols.weight"}
    for before, after in pairwise(weights[1:]):
        assert moved(before, after) == {*body, "model.symbols.weight"}


def test_the_last_matching_rule_applies(tmp_path, registry):
    _, weights = trained(tmp_path, registry, 2, rule("model.*", frozen=True), rule("*.symbols.*"))
    assert moved(weights[0], weights[1]) == {"model.symbols.weight"}


def test_learning_rates_have_factors(tmp_path, registry):
    # The first step of Adam is the learning rate, whatever the gradient.
    _, plain = trained(tmp_path / "plain", registry, 1)
    recorder, slowed = trained(
        tmp_path / "slowed", registry, 1, rule("model.body.0.*", learning_rate_factor=0.25)
    )
    start = train_toy(
        tmp_path / "start",
        make_experiment(RegressorConfig(learning_rate=0.0), max_steps=1),
        registry=registry,
    )
    assert start.losses
    first = read_weights(find_checkpoint(tmp_path / "start").path / "model.safetensors")
    for name, at_first in first.items():
        step, slower = plain[0][name] - at_first, slowed[0][name] - at_first
        factor = 0.25 if ".body.0." in name else 1.0
        torch.testing.assert_close(slower, step * factor, rtol=1e-4, atol=1e-7)
    rate = recorder.of(StepFinished)[0].metrics["learning_rate/model"]
    assert rate == pytest.approx(RegressorConfig().learning_rate)


def test_warmup_begins_when_parameters_begin_to_learn(tmp_path, registry):
    recorder, _ = trained(tmp_path, registry, 6, rule("*", frozen_until=2), warmup_steps=4)
    rates = [event.metrics.get("learning_rate/model") for event in recorder.of(StepFinished)]
    assert rates[:2] == [None, None]
    epochs = [event.epoch for event in recorder.of(StepFinished)]
    peak = [0.05 * 0.9**epoch for epoch in epochs]
    expected = [peak[step] * (step - 1) / 4 for step in range(2, 6)]
    assert rates[2:] == pytest.approx(expected)


def test_a_frozen_optimizer_takes_no_step(tmp_path, registry):
    _, weights = trained(
        tmp_path, registry, 3, rule("discriminator.*", frozen_until=2), trainer=GanConfig()
    )
    generator = {name for name in weights[0] if name.startswith("model.")}
    assert moved(weights[0], weights[1]) == generator
    assert moved(weights[1], weights[2]) == set(weights[0])


def test_a_whole_module_can_be_frozen_for_the_whole_run(tmp_path, registry):
    _, weights = trained(
        tmp_path, registry, 2, rule("discriminator.*", frozen=True), trainer=GanConfig()
    )
    generator = {name for name in weights[0] if name.startswith("model.")}
    assert moved(weights[0], weights[1]) == generator


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    rules = {"parameters": (rule("model.2.*", frozen_until=3),)}
    train_toy(tmp_path / "one", script_experiment(GanConfig(), 6, **rules), registry=toy_registry())
    done = run(
        [sys.executable],
        tmp_path / "two",
        *TWO,
        "--steps",
        6,
        "--trainer",
        "gan",
        "--frozen-until",
        "model.2.*",
        3,
    )
    assert done.stderr == ""
    one, two = (losses_of(tmp_path / name, "d_loss", "g_loss") for name in ("one", "two"))
    torch.testing.assert_close(torch.tensor(two), torch.tensor(one), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stop", [2, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, registry, stop):
    rules = (rule("model.body.*", frozen_until=3, learning_rate_factor=0.5),)
    common = {"checkpoint_every": 1, "parameters": rules, "warmup_steps": 3}
    whole = make_experiment(max_steps=6, **common)
    train_toy(tmp_path / "whole", whole, registry=registry)
    train_toy(tmp_path / "run", make_experiment(max_steps=stop, **common), registry=registry)
    train_toy(tmp_path / "run", whole, registry=registry, resume=find_checkpoint(tmp_path / "run"))
    expected, found = (
        read_weights(find_checkpoint(tmp_path / name).path / "model.safetensors")
        for name in ("whole", "run")
    )
    assert not moved(expected, found)


def test_other_rules_are_refused_on_resuming(tmp_path, registry):
    trained(tmp_path, registry, 2)
    changed = make_experiment(max_steps=4, parameters=(rule("model.body.*", frozen=True),))
    with pytest.raises(UserError, match="other groups of parameters for the optimizer 'model'"):
        train_toy(tmp_path, changed, registry=registry, resume=find_checkpoint(tmp_path))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([rule("model.boddy.*", frozen=True)], "no parameter matches 'model.boddy"),
        ([rule("*", frozen=True)], "all parameters are frozen"),
    ],
)
def test_rules_without_a_sense_are_refused(tmp_path, registry, rules, message):
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, registry, 1, *rules)
    assert not checkpoints(tmp_path)


def test_a_misspelt_pattern_names_the_nearest_module(tmp_path, registry):
    with pytest.raises(ConfigError) as caught:
        trained(tmp_path, registry, 1, rule("model.symbol.*"))
    assert "model.symbols" in caught.value.hint


def test_rules_are_read_from_a_file(registry):
    plain = {
        "data": {"directory": "nowhere"},
        "runtime": {
            "warmup_steps": 5,
            "parameters": [{"match": "model.*", "frozen_until": 7}],
            "early_stop": {"metric": "loss", "patience": 3},
        },
    }
    experiment = structure(Experiment, plain, registry=registry)
    assert experiment.runtime.parameters == (rule("model.*", frozen_until=7),)
    assert experiment.runtime.early_stop == EarlyStopConfig(metric="loss", patience=3)
    again = structure(Experiment, unstructure(experiment, registry=registry), registry=registry)
    assert again == experiment


def stopping(folder, registry, losses, monkeypatch, *, patience=2, min_delta=0.0, **how):
    """Train with these validation losses, one a step."""
    monkeypatch.setattr(
        Regressor,
        "eval_step",
        lambda self, rt, batch: {"loss": losses[min(rt.step, len(losses)) - 1]},
    )
    experiment = make_experiment(
        max_steps=len(losses),
        validate_every=1,
        checkpoint_every=2,
        early_stop=EarlyStopConfig(metric="loss", patience=patience, min_delta=min_delta),
    )
    recorder = train_toy(folder, experiment, registry=registry, **how)
    (end,) = recorder.of(RunFinished)
    return end.step, end.reason


@pytest.mark.parametrize(
    ("losses", "min_delta", "expected"),
    [
        ([5, 4, 3, 2, 1, 0], 0.0, (6, "max_steps")),
        ([5, 4, 4, 4, 3, 2], 0.0, (4, "early_stop")),
        ([5, 4, 6, 3, 4, 5, 2], 0.0, (6, "early_stop")),
        ([5, 4.9, 4.8, 1, 1, 1], 0.5, (3, "early_stop")),
    ],
)
def test_training_ends_when_a_metric_no_longer_improves(
    tmp_path, registry, monkeypatch, losses, min_delta, expected
):
    assert stopping(tmp_path, registry, losses, monkeypatch, min_delta=min_delta) == expected
    assert checkpoints(tmp_path)[-1].step == expected[0]


def test_patience_is_kept_on_resuming(tmp_path, registry, monkeypatch):
    first = stopping(tmp_path, registry, [5, 4, 6, 6], monkeypatch, patience=3)
    assert first == (4, "max_steps")
    losses = [5, 4, 6, 6, 6, 6, 6]
    resume = {"resume": find_checkpoint(tmp_path)}
    again = stopping(tmp_path, registry, losses, monkeypatch, patience=3, **resume)
    assert again == (5, "early_stop")


def test_a_misspelt_metric_is_refused_before_the_first_step(tmp_path, registry):
    experiment = make_experiment(max_steps=1, early_stop=EarlyStopConfig(metric="los"))
    with pytest.raises(UserError, match=r"runtime.early_stop.metric is 'los'") as caught:
        train_toy(tmp_path, experiment, registry=registry)
    assert "loss" in caught.value.hint
