"""A run that is interrupted or killed and resumed equals an uninterrupted run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from attrs import evolve
from training_toys import (
    GanConfig,
    RegressorConfig,
    in_memory,
    make_experiment,
    script_experiment,
    toy_registry,
    train_toy,
)

from allophone.events import RunFinished, StepFinished
from allophone.files.run_folder import checkpoints, find_checkpoint
from allophone.hookspecs import hookimpl
from allophone.training.checkpoint import read_state
from allophone.training.observers import registered
from allophone.weights.files import read_weights

TOYS = Path(__file__).with_name("training_toys.py")


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture(autouse=True)
def memory():
    with in_memory():
        yield


def metrics_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        (line["step"], line["epoch"], line["metrics"]) for line in lines if line["event"] == "step"
    ]


def assert_same(one, other):
    """Two nested states, bit for bit."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for x, y in zip(one, other, strict=True):
            assert_same(x, y)
    else:
        assert one == other


def assert_same_checkpoint(one, other):
    for name in ("model.safetensors", "average.safetensors"):
        if (one.path / name).exists() or (other.path / name).exists():
            assert_same(read_weights(one.path / name), read_weights(other.path / name))
    assert_same(read_state(one), read_state(other))


@pytest.mark.parametrize("trainer", [RegressorConfig(dropout=0.4), GanConfig()])
@pytest.mark.parametrize("interrupted_at", [1, 2, 5])
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    tmp_path, registry, trainer, interrupted_at
):
    # An epoch has two batches: the interruption falls inside of one, at its end, and inside again.
    whole = make_experiment(
        trainer, max_steps=8, accumulate=1, ema_decay=0.9, validate_every=3, sample_every=3
    )
    part = evolve(whole, runtime=evolve(whole.runtime, max_steps=interrupted_at))
    train_toy(tmp_path / "whole", whole, registry=registry)
    train_toy(tmp_path / "parts", part, registry=registry)
    torch.rand(7)
    train_toy(
        tmp_path / "parts", whole, registry=registry, resume=find_checkpoint(tmp_path / "parts")
    )
    assert metrics_of(tmp_path / "parts") == metrics_of(tmp_path / "whole")
    assert_same_checkpoint(find_checkpoint(tmp_path / "whole"), find_checkpoint(tmp_path / "parts"))


def test_branching_does_not_change_the_original_run(tmp_path, registry):
    experiment = make_experiment(max_steps=4, checkpoint_every=2)
    train_toy(tmp_path / "run", experiment, registry=registry)
    middle = checkpoints(tmp_path / "run")[0]
    train_toy(tmp_path / "branch", experiment, registry=registry, resume=middle)
    assert [step for step, *_ in metrics_of(tmp_path / "branch")] == [3, 4]
    assert [step for step, *_ in metrics_of(tmp_path / "run")] == [1, 2, 3, 4]
    assert metrics_of(tmp_path / "branch") == metrics_of(tmp_path / "run")[2:]


def test_an_average_can_be_started_when_resuming(tmp_path, registry):
    experiment = make_experiment(max_steps=2)
    train_toy(tmp_path, experiment, registry=registry)
    more = evolve(experiment, runtime=evolve(experiment.runtime, max_steps=3, ema_decay=0.9))
    train_toy(tmp_path, more, registry=registry, resume=find_checkpoint(tmp_path))
    latest = find_checkpoint(tmp_path)
    own = read_weights(latest.path / "model.safetensors")
    averaged = read_weights(latest.inference_weights)
    assert not torch.equal(own["model.body.0.weight"], averaged["model.body.0.weight"])


def test_a_stop_request_saves_a_checkpoint(tmp_path, registry):
    class Interrupts:
        @hookimpl
        def allophone_train_event(self, event):
            if isinstance(event, StepFinished) and event.step == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    with registered(registry, Interrupts()):
        recorder = train_toy(tmp_path, make_experiment(max_steps=9), registry=registry)
    # The signal arrives during the event of step 3; training stops after step 4.
    assert recorder.of(RunFinished)[0].reason == "signal"
    assert [found.step for found in checkpoints(tmp_path)] == [4]


def run_toy(*arguments, expect=0):
    """Train in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(TOYS), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == expect, done.stderr
    return done


def test_a_killed_process_loses_only_steps_after_the_checkpoint(tmp_path, registry):
    whole = script_experiment(RegressorConfig(dropout=0.3), 8)
    train_toy(tmp_path / "whole", whole, registry=registry)
    killed = run_toy(
        tmp_path / "run", "--steps", 8, "--dropout", 0.3, "--die-at", 6, expect=-signal.SIGKILL
    )
    assert killed.stderr == ""
    assert [found.step for found in checkpoints(tmp_path / "run")] == [4]
    assert [step for step, *_ in metrics_of(tmp_path / "run")] == [1, 2, 3, 4, 5]
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"event": "step", "step": 7, "metr')
    run_toy(tmp_path / "run", "--steps", 8, "--dropout", 0.3, "--resume", tmp_path / "run")
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    assert_same_checkpoint(find_checkpoint(tmp_path / "whole"), find_checkpoint(tmp_path / "run"))


def test_an_interrupt_saves_and_exits_cleanly(tmp_path):
    process = subprocess.Popen(
        [sys.executable, str(TOYS), str(tmp_path), "--slow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "step 2\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, complaints
    assert complaints == ""
    steps = [step for step, *_ in metrics_of(tmp_path)]
    assert find_checkpoint(tmp_path).step == steps[-1]
    assert steps[-1] < 10
