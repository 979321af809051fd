"""What the operating system refuses, told in a sentence."""

import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from allophone.audio.files import write_audio
from allophone.errors import UserError
from allophone.files.atomic import atomic_write
from allophone.files.run_folder import checkpoints
from allophone.files.system_errors import told
from allophone.processes.lifetime import ProcessKilledError
from allophone.training.observers import _append
from allophone.weights.files import write_weights

TOYS = Path(__file__).with_name("training_toys.py")
ARRAY = np.linspace(-0.5, 0.5, 50_000, dtype=np.float32) + np.sin(np.arange(50_000) ** 2) / 4


@pytest.fixture
def small_disk():
    """No file can be longer than a thousand bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "No space is left on the disk: here/file"),
        (errno.EDQUOT, "Your quota on the disk is used up: here/file"),
        (errno.EROFS, "The disk is mounted read-only: here/file"),
        (errno.EACCES, "Permission denied: here/file"),
        (errno.EPERM, "Operation not permitted: here/file"),
        (errno.EIO, "The disk failed to read or write: here/file"),
        (errno.EMFILE, "Too many files are open: here/file"),
        (errno.ENOTDIR, "A file lies where a folder is needed: here/file"),
        (errno.ENAMETOOLONG, "File name too long: here/file"),
    ],
)
def test_errors_of_the_system_are_sentences(number, sentence):
    error = told(OSError(number, os.strerror(number), "here/file"))
    assert error.message == sentence
    assert error.hint


def test_no_other_error_is_taken_for_one():
    assert told(ValueError("No space left on device")) is None
    assert told(RuntimeError("DataLoader of nothing")) is None
    assert told(TimeoutError("nobody answers")) is None
    assert told(OSError(errno.ENOSPC, "No space left on device")).message == (
        "No space is left on the disk."
    )


def test_what_an_error_was_raised_from_is_told():
    wrapped = RuntimeError("unexpected pos 704 vs 598")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device", "a.bin")
    assert told(wrapped).message == "No space is left on the disk: a.bin"


def test_what_says_more_is_left_as_it_is(tmp_path):
    wrapped = UserError("Cannot read the recording a.wav", hint="Convert it")
    wrapped.__cause__ = FileNotFoundError(errno.ENOENT, "No such file", "a.wav")
    assert told(wrapped) is None
    with pytest.raises(UserError, match="Cannot read"), atomic_write(tmp_path / "out"):
        raise wrapped
    met = KeyError("a bug that shows while something is handled")
    met.__context__ = FileNotFoundError(errno.ENOENT, "No such file", "a.wav")
    assert told(met) is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "DataLoader worker (pid 77) is killed by signal: Killed. ",
            "A data worker (process 77) was killed by SIGKILL.",
        ),
        (
            "DataLoader worker (pid(s) 77, 78) exited unexpectedly",
            "A data worker (process 77, 78) exited unexpectedly.",
        ),
        (
            "DataLoader worker (pid 7) is killed by signal: Bus error. It is out of shared memory.",
            "A data worker (process 7) was killed by SIGBUS.",
        ),
    ],
)
def test_a_data_worker_that_was_killed_is_named(said, message):
    error = told(RuntimeError(said))
    assert isinstance(error, ProcessKilledError)
    assert error.message == message
    assert ("shared memory" if "shared" in said else "--resume") in error.hint


def write_torch(path):
    with atomic_write(path) as file:
        torch.save({"a": torch.zeros(10_000)}, file)


def write_numpy(path):
    with atomic_write(path) as file:
        np.save(file, ARRAY)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.safetensors", lambda path: write_weights(path, {"a": torch.zeros(10_000)})),
        ("a.pt", write_torch),
        ("a.npy", write_numpy),
        ("a.wav", lambda path: write_audio(path, ARRAY, 8000)),
        ("a.flac", lambda path: write_audio(path, ARRAY, 8000)),
    ],
)
def test_whatever_writes_a_file_names_it_when_the_disk_is_full(
    tmp_path, small_disk, capfd, name, write
):
    with pytest.raises(OSError, match=name) as caught:
        write(tmp_path / name)
    assert told(caught.value).message.endswith(f": {tmp_path / name}")
    assert "Free some space" in told(caught.value).hint
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""


def test_a_line_that_did_not_fit_is_taken_back(tmp_path, small_disk):
    path = tmp_path / "metrics.jsonl"
    for _ in range(3):
        _append(path, {"step": 1, "told": "x" * 250})
    for _ in range(2):
        with pytest.raises(OSError, match="metrics"):
            _append(path, {"step": 2, "told": "x" * 400})
    _append(path, {"step": 3})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 1, 1, 3]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.slow
def test_a_run_on_a_full_disk_ends_with_a_sentence_and_its_checkpoints(tmp_path, processes):
    arguments = [str(TOYS), str(tmp_path), "--slow", "--processes", str(processes)]
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    while process.stdout.readline() != "step 5\n":
        assert process.poll() is None
    limited = [process.pid]
    listed = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    limited += [
        int(line.split()[0]) for line in listed.splitlines() if int(line.split()[1]) == process.pid
    ]
    for one in limited:
        resource.prlimit(one, resource.RLIMIT_FSIZE, (2000, 2000))
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in complaints
    assert "A file would be larger than the disk or a limit allows (ulimit -f): " in complaints
    assert str(tmp_path / "checkpoints") in complaints
    assert [found.step for found in checkpoints(tmp_path)] == [4]


def test_a_store_that_is_damaged_is_told_the_same_by_a_worker(tmp_path):
    from training_toys import stored_loader

    messages = []
    for workers in (0, 1):
        loader = stored_loader(list(range(4)), 4, 0, 1, workers)
        pack = next(iter(loader._loader.dataset._examples)).features["input"].pack
        pack.write_bytes(pack.read_bytes()[:8])
        with pytest.raises(UserError, match="is truncated") as caught:
            list(loader)
        messages.append(str(caught.value).replace(str(pack), "pack"))
        assert caught.value.hint
    assert messages[0] == messages[1]


def test_workers_that_an_error_leaves_do_not_keep_the_process(tmp_path):
    done = subprocess.run(
        [sys.executable, str(TOYS), str(tmp_path), "--workers", "1", "--fails-at", "2"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1
    assert "became nan at step 2" in done.stderr
    assert "killed by signal" not in done.stderr
