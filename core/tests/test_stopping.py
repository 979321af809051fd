"""Signals and kills: a run that is asked to stop saves and ends well; what is killed takes nothing with it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from allophone.files.run_folder import checkpoints, find_checkpoint

pytestmark = pytest.mark.slow

TOYS = Path(__file__).with_name("training_toys.py")


@contextmanager
def training(folder, *arguments, until="step 2\n"):
    """A process that trains in a session of its own and has made two steps; nothing of it is left afterwards."""
    process = subprocess.Popen(
        [sys.executable, str(TOYS), str(folder), "--slow", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    while process.stdout.readline() != until:
        assert process.poll() is None, process.stderr.read()
    try:
        yield process
    finally:
        for left in (*descendants(process.pid), process.pid):
            if alive(left):
                os.kill(left, signal.SIGKILL)
        process.communicate()


def descendants(parent):
    """The processes that a process has started, and those that they have; the latter come later."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    found = [parent]
    for one in found:
        found += [child for child, its_parent in pairs if its_parent == one]
    return found[1:]


def alive(process):
    """Whether a process is there and no zombie."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    ).stdout
    return bool(listed) and not listed.startswith("Z")


def steps_of(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def group(process):
    return [-process.pid]


def launcher(process):
    return [process.pid]


def everyone(process):
    return [process.pid, *descendants(process.pid)]


@pytest.mark.parametrize(
    ("processes", "workers", "whom", "pauses", "number"),
    [
        (1, 0, group, (), signal.SIGTERM),
        (1, 2, group, (), signal.SIGTERM),
        (1, 2, group, (0.0,), signal.SIGINT),
        (2, 0, launcher, (0.2,), signal.SIGINT),
        (2, 2, group, (), signal.SIGINT),
        (2, 2, everyone, (0.1,), signal.SIGTERM),
    ],
)
def test_a_signal_ends_a_run_at_its_step_with_a_checkpoint(
    tmp_path, processes, workers, whom, pauses, number
):
    with training(tmp_path, "--processes", processes, "--workers", workers) as process:
        told = whom(process)
        for pause in (*pauses, None):
            for one in told:
                if one < 0 or alive(one):
                    os.kill(one, number)
            if pause is not None:
                time.sleep(pause)
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
    steps = steps_of(tmp_path)
    assert steps == list(range(1, len(steps) + 1))
    assert find_checkpoint(tmp_path).step == steps[-1]


def test_a_request_a_second_later_changes_nothing(tmp_path):
    with training(tmp_path, "--workers", 1, "--slow-save", 2.5) as process:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(1.3)
        os.killpg(process.pid, signal.SIGTERM)
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, "")
    assert find_checkpoint(tmp_path).step == steps_of(tmp_path)[-1]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_third_request_ends_at_once(tmp_path, processes):
    with training(tmp_path, "--processes", processes, "--slow-save", 60) as process:
        for _ in range(3):
            os.killpg(process.pid, signal.SIGTERM)
            time.sleep(1.2)
        process.communicate(timeout=20)
        assert process.returncode == -signal.SIGTERM
    assert checkpoints(tmp_path) == []


def test_all_processes_of_a_killed_launcher_end(tmp_path):
    with training(tmp_path, "--processes", 2, "--workers", 1) as process:
        started = descendants(process.pid)
        assert len(started) >= 4
        process.kill()
        process.wait()
        time.sleep(0.5)
        steps = steps_of(tmp_path)
        deadline = time.monotonic() + 20
        while any(map(alive, started)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert steps_of(tmp_path) == steps


def ranks(process):
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    return sorted(child for child, parent in pairs if parent == process.pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_rank_is_named(tmp_path, number):
    with training(tmp_path, "--processes", 2) as process:
        killed = ranks(process)[1]
        os.kill(killed, number)
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == 1
    said, advice = complaints.strip().splitlines()
    assert said == f"Rank 1 (process {killed}) was killed by {number.name}."
    assert "--max-restarts" in advice


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_data_worker_is_named(tmp_path, processes):
    arguments = ("--processes", processes, "--workers", 1, "--max-restarts", 0)
    with training(tmp_path, *arguments) as process:
        rank = process.pid if processes == 1 else ranks(process)[1]
        worker = max(descendants(rank))
        os.kill(worker, signal.SIGKILL)
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == 1
    named = f"A data worker (process {worker}) was killed by SIGKILL."
    assert complaints.startswith(named if processes == 1 else f"Rank 1: {named}")
    assert "Traceback" not in complaints


def test_a_killed_rank_is_started_again_from_the_latest_checkpoint(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, str(TOYS), str(tmp_path), "--steps", "10", "--processes", "2"),
            *("--die-at", "6", "--max-restarts", "2"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("was killed by SIGKILL") == done.stderr.count("Restart 1 of 2") == 1
    assert steps_of(tmp_path) == list(range(1, 11))
    assert find_checkpoint(tmp_path).step == 10
