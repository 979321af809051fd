"""Unit tests of schedules, EMA, random states, signals, guards and meters."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training_toys import make_batch

from allophone.training import signals
from allophone.training.ema import MovingAverage
from allophone.training.guards import LossRecord, check_finite
from allophone.training.meter import AverageMeter, SpeedMeter
from allophone.training.optimizers import cosine, exponential, linear_warmup, noam
from allophone.training.ranks import Rank
from allophone.training.seeding import (
    deterministic_on_cpu,
    fork_rng,
    random_state,
    restore_random_state,
    seed_everything,
)
from allophone.training.signals import stop_on_signals


def test_schedules_follow_their_formulas():
    assert [exponential(0.5)(n) for n in range(3)] == [1.0, 0.5, 0.25]
    assert [linear_warmup(4)(n) for n in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert linear_warmup(0)(0) == 1.0

    factor = noam(100)
    # The paper's formula, scaled to a maximum of 1.
    paper = [min(n**-0.5, n * 100**-1.5) * 100**0.5 for n in (1, 50, 100, 400)]
    assert [factor(n - 1) for n in (1, 50, 100, 400)] == pytest.approx(paper)
    assert max(factor(n) for n in range(1000)) == factor(99) == 1.0

    factor = cosine(10, 110, floor=0.1)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == factor(10) == 1.0
    assert factor(60) == pytest.approx(0.55)
    assert factor(110) == factor(10_000) == pytest.approx(0.1)
    assert cosine(0, 100)(0) == 1.0


def test_an_average_decays_and_warms_up():
    module = nn.Linear(2, 1, bias=False)
    nn.init.constant_(module.weight, 0.0)
    average = MovingAverage(module, decay=0.5)
    expected = 0.0
    for step in range(1, 30):
        nn.init.constant_(module.weight, float(step))
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert average.state_dict()["weight"].tolist() == [[pytest.approx(expected)] * 2]


def test_averages_are_swapped_in_and_the_weights_are_restored():
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = MovingAverage(module, decay=0.9)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))
    module(torch.randn(4, 3))
    average.update(100)
    own = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    averaged = average.state_dict()
    with average.applied():
        inside = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert all(torch.equal(own[name], tensor) for name, tensor in module.state_dict().items())
    assert all(torch.equal(averaged[name], inside[name]) for name in own)
    assert not torch.equal(inside["0.weight"], own["0.weight"])
    # Buffers are followed, not averaged: among them is a count.
    assert torch.equal(inside["1.num_batches_tracked"], torch.tensor(1))


def test_tied_weights_are_averaged_once():
    module = nn.Module()
    module.one = nn.Linear(2, 2, bias=False)
    module.two = nn.Linear(2, 2, bias=False)
    module.two.weight = module.one.weight
    average = MovingAverage(module, decay=0.5)
    before = module.one.weight.detach().clone()
    with torch.no_grad():
        module.one.weight.add_(1.0)
    average.update(1000)
    with average.applied():
        torch.testing.assert_close(module.two.weight.detach(), before + 0.5)
    torch.testing.assert_close(module.two.weight.detach(), before + 1.0)
    assert set(average.state_dict()) == {"one.weight", "two.weight"}


def test_averages_load_what_they_saved():
    module = nn.Linear(2, 2)
    average = MovingAverage(module, decay=0.9)
    saved = {name: torch.randn_like(tensor) for name, tensor in module.state_dict().items()}
    own = module.weight.detach().clone()
    average.load_state_dict(saved, where="here")
    assert all(torch.equal(saved[name], tensor) for name, tensor in average.state_dict().items())
    assert torch.equal(module.weight, own)


def draw():
    return random.random(), float(np.random.rand()), float(np.random.randn()), float(torch.rand(()))


def test_random_states_survive_a_checkpoint(tmp_path):
    seed_everything(7)
    draw()
    torch.save(random_state(), tmp_path / "state.pt")
    expected = [draw() for _ in range(3)]
    restore_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [draw() for _ in range(3)] == expected


def test_fork_rng_restores_the_generators():
    seed_everything(7)
    expected = draw(), draw()
    seed_everything(7)
    first = draw()
    with fork_rng(1):
        inside = draw()
    with fork_rng(1):
        assert draw() == inside
    assert (first, draw()) == expected


def test_the_cpu_is_deterministic_only_inside():
    before = torch.are_deterministic_algorithms_enabled()
    with deterministic_on_cpu(torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled()
    with deterministic_on_cpu(torch.device("meta")):
        assert torch.are_deterministic_algorithms_enabled() == before
    assert torch.are_deterministic_algorithms_enabled() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_requests_once_they_are_heeded(monkeypatch, number):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        stop.heeded = True
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.name == signal.Signals(number).name
        # A scheduler and the launcher pass on the same one.
        os.kill(os.getpid(), number)
        assert stop.times == 1
        monkeypatch.setattr(signals, "_SAME", 0.0)
        os.kill(os.getpid(), number)
        assert stop.times == 2
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("heeded", "number_of_requests"), [(True, 3), (False, 1)])
def test_a_request_that_is_not_waited_for(monkeypatch, heeded, number_of_requests):
    monkeypatch.setattr(signals, "_SAME", 0.0)
    handled = []

    def interrupt():
        with stop_on_signals() as stop:
            stop.heeded = heeded
            for _ in range(4):
                os.kill(os.getpid(), signal.SIGINT)
                handled.append(stop.times)
                time.sleep(0.01)

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert len(handled) == number_of_requests - 1


def named(module):
    return list(module.named_parameters())


def test_losses_and_gradients_that_are_not_finite_are_named():
    module = nn.Linear(2, 1)
    seen = [
        LossRecord(loss=torch.tensor(1.0), ids=("a", "b")),
        LossRecord(loss=torch.tensor(math.nan), ids=("c", "d")),
    ]
    check_finite("generator", 3, seen[:1], torch.tensor(1.0), named(module))
    with pytest.raises(FloatingPointError, match=r"'generator' became nan at step 3.*of c, d\."):
        check_finite("generator", 3, seen, torch.tensor(math.nan), named(module))
    module.weight.grad = torch.tensor([[1.0, math.inf]])
    module.bias.grad = torch.zeros(1)
    with pytest.raises(FloatingPointError, match=r"those of weight\).*batch of a, b\."):
        check_finite("generator", 3, seen[:1], torch.tensor(math.inf), named(module))
    module.weight.grad = torch.tensor([[1.0, 1e30]])
    with pytest.raises(FloatingPointError, match="norm overflows"):
        check_finite("generator", 3, seen[:1], torch.tensor(math.inf), named(module))


def test_averages_are_weighted_and_exact_for_one_value():
    means = AverageMeter()
    value = torch.tensor(0.1)
    means.add({"loss": value})
    assert means.collect(Rank()) == {"loss": float(value)}
    means.add({"loss": torch.tensor(1.0), "only_here": 5.0}, weight=3)
    means.add({"loss": 2.0}, weight=1)
    assert means.collect(Rank()) == {"loss": 1.25, "only_here": 5.0}
    assert means.collect(Rank()) == {}


def test_speed_counts_only_training_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("allophone.training.meter.time.perf_counter", lambda: now[0])
    speed = SpeedMeter()
    for _ in range(4):
        now[0] += 0.5
        speed.add([make_batch([1, 2, 3]), make_batch([4])])
    with speed.paused():
        now[0] += 1000
    found = speed.collect(Rank())
    assert found.pop("peak_memory_bytes") > 1e6
    assert found == {"steps": 2.0, "utterances": 8.0, "audio_seconds": 16.0}
    now[0] += 1.0
    assert speed.collect(Rank())["steps"] == 0


def test_training_does_not_import_the_compiler(tmp_path):
    """It takes 3.5 s of CPU, and an optimizer of PyTorch asks for it."""
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from allophone.files.run_folder import find_checkpoint
        from training_toys import *
        with in_memory():
            folder, registry = Path({str(tmp_path / "run")!r}), toy_registry()
            train_toy(folder, script_experiment(RegressorConfig(), 4), registry=registry)
            experiment = script_experiment(RegressorConfig(), 6)
            train_toy(folder, experiment, registry=registry, resume=find_checkpoint(folder))
        sys.exit("torch._dynamo" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
