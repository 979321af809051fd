"""What the core does on GPUs: pinned batches, spectrograms, precisions, resuming, compiled steps and NCCL.

The contract suite trains and hears every plugin on a GPU (`allophone_testing.gpu`).
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from training_toys import (
    GanConfig,
    RegressorConfig,
    in_memory,
    make_batch,
    make_experiment,
    stored_loader,
    toy_registry,
    train_toy,
)

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone.files.run_folder import WEIGHTS, find_checkpoint
from allophone.training.distributed import DistributedEnv, process_group
from allophone.training.ranks import Rank
from allophone.weights.files import read_weights
from allophone_testing.gpu import GPU, PRECISIONS, without_tf32

pytestmark = pytest.mark.gpu

TOYS = Path(__file__).with_name("training_toys.py")
DECIBELS = MelSpec(center=True, mel_scale="htk", mel_norm="none", log_base="10", log_floor=1e-5)


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture(autouse=True)
def memory() -> Iterator[None]:
    with in_memory():
        yield


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return read_weights(find_checkpoint(folder).path / WEIGHTS)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_pinned_and_arrive_whole(workers: int) -> None:
    loader = stored_loader(list(range(8)), 4, 0, 1, workers)
    for batch in loader:
        assert batch["input"].values.is_pinned()
        assert batch["input"].lengths.is_pinned()
        expected = make_batch([int(id[1:]) for id in batch.ids])
        there = batch.to(GPU)
        assert there["input"].values.device == GPU
        assert torch.equal(there["input"].values.cpu(), expected["input"].values)
        assert torch.equal(there["target"].lengths.cpu(), expected["target"].lengths)


@pytest.mark.parametrize("spec", [MelSpec(), DECIBELS])
def test_spectrograms_equal_those_of_the_cpu(spec: MelSpec) -> None:
    waveforms = 0.1 * torch.randn(3, 20_000, generator=torch.manual_seed(0))
    lengths = torch.tensor([20_000, 15_000, 700])
    expected = mel_spectrogram(waveforms, spec, lengths=lengths)
    with without_tf32():
        found = mel_spectrogram(waveforms.to(GPU), spec, lengths=lengths.to(GPU))
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("trainer", [RegressorConfig(), GanConfig()], ids=["regressor", "gan"])
def test_a_run_trains_in_each_precision(trainer, precision, registry, tmp_path) -> None:
    experiment = make_experiment(trainer, max_steps=40, precision=precision)
    recorder = train_toy(tmp_path, experiment, registry=registry, rank=Rank(device=GPU))
    metrics = [event.metrics for event in recorder.events if hasattr(event, "metrics")]
    assert len(metrics) >= 40
    assert all(math.isfinite(value) for one in metrics for value in one.values())
    assert ("loss_scale" in metrics[0]) == (precision == "fp16")
    if isinstance(trainer, RegressorConfig):
        assert sum(recorder.losses[-5:]) < 0.8 * sum(recorder.losses[:5])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_resumed_run_goes_on(precision, registry, tmp_path) -> None:
    def train(folder: str, steps: int, **how) -> None:
        experiment = make_experiment(
            RegressorConfig(dropout=0.5), max_steps=steps, precision=precision, ema_decay=0.9
        )
        train_toy(tmp_path / folder, experiment, registry=registry, rank=Rank(device=GPU), **how)

    train("whole", 8)
    train("parts", 4)
    train("parts", 8, resume=find_checkpoint(tmp_path / "parts"))
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5)


def test_a_compiled_run_trains_alike(registry, tmp_path) -> None:
    for name, compiled in (("eager", False), ("compiled", True)):
        experiment = make_experiment(max_steps=4, compile=compiled)
        train_toy(tmp_path / name, experiment, registry=registry, rank=Rank(device=GPU))
    eager, compiled = weights_of(tmp_path / "eager"), weights_of(tmp_path / "compiled")
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-4)


def test_nccl_with_a_single_rank(tmp_path) -> None:
    env = DistributedEnv(
        rank=0, local_rank=0, world_size=1, init_method=(tmp_path / "meeting").as_uri()
    )
    with process_group(env, GPU):
        on_gpu, on_cpu = torch.tensor([2.0], device=GPU), torch.tensor([3.0])
        dist.all_reduce(on_gpu)
        dist.all_reduce(on_cpu)
        assert (on_gpu.item(), on_cpu.item()) == (2.0, 3.0)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA GPUs")
@pytest.mark.parametrize("trainer", ["regressor", "gan", "counting"])
def test_two_ranks_over_nccl_train_as_over_gloo(trainer, tmp_path) -> None:
    for name, devices in (("nccl", "0,1"), ("gloo", "cpu")):
        command = [sys.executable, TOYS, tmp_path / name, "--steps", "4", "--processes", "2"]
        done = subprocess.run(
            [*map(str, command), "--trainer", trainer, "--devices", devices],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    over_gloo = weights_of(tmp_path / "gloo")
    for name, value in weights_of(tmp_path / "nccl").items():
        torch.testing.assert_close(value, over_gloo[name], rtol=1e-3, atol=1e-4)
