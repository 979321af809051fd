"""Distributed training: launching processes, and reading the rank from the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_toys import (
    CountingConfig,
    GanConfig,
    in_memory,
    script_experiment,
    toy_registry,
    train_toy,
)

from allophone.errors import UserError
from allophone.files.run_folder import checkpoints, find_checkpoint
from allophone.training import distributed
from allophone.training.checkpoint import read_state
from allophone.training.distributed import (
    DistributedEnv,
    first_node,
    local_device,
    parse_devices,
    read_distributed_env,
)
from allophone.training.failures import explained, read_failure, report
from allophone.weights.files import read_weights

TOYS = Path(__file__).with_name("training_toys.py")
TWO = ("--processes", "2")


def run(command, *arguments, expect=0):
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [*command, str(TOYS), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def losses_of(folder, *names):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [[line["metrics"][name] for name in names] for line in lines]


@pytest.mark.parametrize(
    ("trainer", "losses"), [("gan", ("d_loss", "g_loss")), ("counting", ("loss",))]
)
@pytest.mark.slow
def test_two_ranks_equal_one_with_the_combined_batches(tmp_path, trainer, losses):
    config = {"gan": GanConfig, "counting": CountingConfig}[trainer]()
    with in_memory():
        train_toy(tmp_path / "one", script_experiment(config, 6), registry=toy_registry())
    done = run([sys.executable], tmp_path / "two", *TWO, "--steps", 6, "--trainer", trainer)
    assert done.stderr == ""
    one, two = (losses_of(tmp_path / name, *losses) for name in ("one", "two"))
    torch.testing.assert_close(torch.tensor(two), torch.tensor(one), rtol=1e-5, atol=1e-6)
    for name in ("model.safetensors", "average.safetensors"):
        expected, found = (
            read_weights(find_checkpoint(tmp_path / run).path / name) for run in ("one", "two")
        )
        for key in expected:
            torch.testing.assert_close(found[key], expected[key], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_torchrun_is_supported_and_resuming_is_bit_identical(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    run(torchrun, whole, "--steps", 7, "--dropout", 0.3)
    middle = checkpoints(whole)[0].path
    assert len(read_state(find_checkpoint(middle))["random"]) == 2
    run([sys.executable], rest, *TWO, "--steps", 7, "--dropout", 0.3, "--resume", middle)
    assert losses_of(rest, "loss") == losses_of(whole, "loss")[4:]


@pytest.mark.slow
def test_the_error_of_a_rank_is_shown_once_without_a_traceback(tmp_path):
    done = run(
        [sys.executable],
        *(tmp_path, *TWO, "--steps", 4, "--fails-at", 1, "--fails-on-rank", 1),
        expect=1,
    )
    assert done.stderr.count("became nan at step 1") == 1
    assert "on the batch of u" in done.stderr
    assert "ChildFailedError" not in done.stderr


def test_a_process_alone_has_no_distributed_env():
    assert (
        read_distributed_env({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"})
        is None
    )
    assert read_distributed_env({}) is None


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"RANK": "x"}, "RANK is 'x'; expected a number from 0 to 7"),
        ({"RANK": "8"}, "RANK is '8'; expected a number from 0 to 7"),
        ({"RANK": ""}, "RANK is ''; expected"),
        ({"WORLD_SIZE": "2.5"}, "WORLD_SIZE is '2.5'; expected a number from 0"),
        ({"LOCAL_RANK": "-1"}, "LOCAL_RANK is '-1'; expected a number from 0"),
        ({"WORLD_SIZE": "9" * 5000}, "WORLD_SIZE is '999"),
    ],
)
def test_an_env_that_is_not_a_number_is_refused_by_name(changes, complaint):
    with pytest.raises(UserError, match=f"The environment variable {complaint}") as caught:
        read_distributed_env({"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8"} | changes)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"SLURM_STEP_NUM_TASKS": "many"}, "SLURM_STEP_NUM_TASKS is 'many'"),
        ({"SLURM_PROCID": "4"}, "SLURM_PROCID is '4'; expected a number from 0 to 3"),
        ({"SLURM_JOB_ID": "7_3"}, "SLURM_JOB_ID is '7_3'"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT is '99999'; expected a number from 0 to 65535"),
    ],
)
def test_an_env_of_slurm_that_is_not_a_number_is_refused_by_name(changes, complaint):
    step = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}
    with pytest.raises(UserError, match=f"The environment variable {complaint}"):
        read_distributed_env({**step, "SLURM_STEP_NODELIST": "gpu-[1-2]"} | changes)
    lacking = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NODELIST": "gpu-1"}
    with pytest.raises(UserError, match="SLURM_PROCID is not set"):
        read_distributed_env(lacking)


def test_half_an_env_is_warned_of(caplog):
    assert read_distributed_env({"RANK": "x"}) is None
    assert "RANK is set without WORLD_SIZE: this process trains alone" in caplog.text


def test_the_distributed_env_of_torchrun():
    environment = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "MASTER_ADDR": "a"}
    assert read_distributed_env(environment) == DistributedEnv(
        rank=5, local_rank=1, world_size=8, init_method="env://"
    )


def test_the_distributed_env_of_srun():
    environment = {
        "SLURM_PROCID": "5",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_NUM_TASKS": "8",
        "SLURM_STEP_NODELIST": "gpu-[03-05,09],other",
        "SLURM_JOB_ID": "1234567",
    }
    env = read_distributed_env(environment)
    assert env == DistributedEnv(
        rank=5, local_rank=1, world_size=8, init_method="tcp://gpu-03:34567"
    )
    named = {**environment, "MASTER_ADDR": "head", "MASTER_PORT": "29500"}
    assert read_distributed_env(named).init_method == "tcp://head:29500"


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("solo", "solo"),
        ("a1,a2", "a1"),
        ("node[1-4]", "node1"),
        ("node[007,9]-ib,x", "node007-ib"),
        ("n[1-2],m[3-4]", "n1"),
    ],
)
def test_the_first_host_of_a_slurm_node_list(nodes, first):
    assert first_node(nodes) == first


def test_an_empty_node_list_is_an_error():
    with pytest.raises(UserError, match="SLURM node list"):
        first_node("")


@pytest.fixture
def gpus(monkeypatch):
    """gpus(n): torch sees n of them."""

    def pretend(count):
        monkeypatch.setattr(distributed.torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(distributed.torch.cuda, "device_count", lambda: count)

    return pretend


def test_devices_are_parsed(gpus):
    gpus(2)
    assert parse_devices(None, None) == ("cuda:0",)
    assert parse_devices("0,1", None) == parse_devices("0, 1", 2) == ("cuda:0", "cuda:1")
    assert parse_devices("cpu", 3) == ("cpu",) * 3
    gpus(0)
    assert parse_devices(None, None) == ("cpu",)
    assert parse_devices(None, 2) == ("cpu", "cpu")


@pytest.mark.parametrize("devices", ["cuda", "0,", "0,0", "-1"])
def test_invalid_devices_are_an_error(gpus, devices):
    gpus(4)
    with pytest.raises(UserError, match="Invalid --devices value"):
        parse_devices(devices, None)


def test_unavailable_devices_are_named(gpus):
    gpus(2)
    with pytest.raises(UserError, match="GPU 3 is not available; torch finds 2"):
        parse_devices("0,3", None)
    with pytest.raises(UserError, match="--devices lists"):
        parse_devices("0,1", 3)


def test_each_rank_has_its_own_device(gpus):
    def env(local_rank):
        return DistributedEnv(
            rank=local_rank, local_rank=local_rank, world_size=4, init_method="env://"
        )

    gpus(4)
    assert local_device(env(2), None) == torch.device("cuda:2")
    assert local_device(env(1), "3,2") == torch.device("cuda:2")
    assert local_device(env(3), "cpu") == torch.device("cpu")
    with pytest.raises(UserError, match="Process 2"):
        local_device(env(2), "0,1")
    # A scheduler that shows each task its own GPU shows one.
    gpus(1)
    assert local_device(env(3), None) == torch.device("cuda:0")
    gpus(0)
    assert local_device(env(3), None) == torch.device("cpu")


def failed(rank, status, error=None):
    """What is read of a rank that has sent an error, or nothing."""
    sent = b""
    if error is not None:
        reading, writing = os.pipe()
        report(error).send(writing)
        sent = os.read(reading, 65536)
        os.close(reading)
        os.close(writing)
    return read_failure(rank, 4000 + rank, status, sent)


def test_a_lost_connection_is_not_what_failed():
    lost = failed(0, 1, RuntimeError("Connection closed by peer"))
    told = failed(1, 1, UserError("no data", hint="Add"))
    assert str(explained([lost, told], 2)) == "Rank 1: no data\nAdd"
    assert str(explained([told, told], 2)) == "no data\nAdd"
    assert told.report.expected
    crashed = failed(1, 1, ZeroDivisionError("by what?"))
    assert str(explained([lost, crashed], 2)) == "Rank 1: ZeroDivisionError: by what?"
    assert not crashed.report.expected


def test_a_killed_rank_is_what_failed():
    lost = failed(0, 1, RuntimeError("Connection reset by peer"))
    error = explained([lost, failed(1, -9)], 2)
    assert error.message == "Rank 1 (process 4001) was killed by SIGKILL."
    assert "memory" in error.hint
    left = explained([failed(2, 3)], 2)
    assert str(left) == "Rank 2 (process 4002) ended with exit status 3."
    odd = explained([failed(3, -63)], 2)
    assert odd.message == "Rank 3 (process 4003) was killed by signal 63."


def test_a_rank_whose_data_worker_was_killed_may_be_started_again():
    one = failed(1, 1, RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))
    assert one.killed
    assert not one.report.expected
    told = explained([one], 2).message
    assert told.startswith("Rank 1: A data worker (process 7) was killed by SIGKILL.")


def test_a_long_traceback_fits_into_a_report():
    one = failed(0, 1, ValueError("\N{SNOWMAN}\n" * 100_000))
    assert one.report.message.endswith("\N{SNOWMAN}")
