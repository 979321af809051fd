"""Folders that one process at a time writes to."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from allophone.errors import UserError
from allophone.files.atomic import atomic_folder
from allophone.files.locks import folder_locked, name_locked
from allophone.files.run_folder import checkpoints
from allophone.synthesis.ledger import Success, open_ledger
from allophone.training.claim import claimed

HOLDER = """
import multiprocessing, os, pathlib, sys, time
from allophone.files.locks import folder_locked
def live():
    # Only now has the child let go of what its parent holds.
    print(os.getpid(), flush=True)
    time.sleep(60)
with folder_locked(pathlib.Path(sys.argv[1])):
    multiprocessing.get_context("fork").Process(target=live, daemon=True).start()
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a lock on the folder `held`, and has a child that was forked meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "held")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    yield process
    os.kill(child, signal.SIGKILL)
    process.kill()
    process.communicate()


def test_the_second_is_told_who_is_there(tmp_path, holder):
    with pytest.raises(UserError) as caught, folder_locked(tmp_path / "held"):
        pass
    told = re.escape(
        f"{tmp_path / 'held'} is being written by process {holder.pid} on {os.uname()[1]}"
    )
    assert re.fullmatch(
        rf"{told}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d\S+ \(-c .*\)\.", caught.value.message
    )
    assert "another place" in caught.value.hint


def test_a_lock_dies_with_its_process_even_if_a_child_lives(tmp_path, holder):
    holder.kill()
    holder.wait()
    with folder_locked(tmp_path / "held"):
        pass
    assert list((tmp_path / "held").iterdir()) == []


def test_in_one_process_too(tmp_path):
    with folder_locked(tmp_path / "a"):
        with (
            pytest.raises(UserError, match=f"by process {os.getpid()}"),
            folder_locked(tmp_path / "a"),
        ):
            pass
        with folder_locked(tmp_path / "b"), name_locked(tmp_path / "a"):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_many_take_turns(tmp_path):
    """Each adds one to a number, which goes wrong unless they are alone."""
    code = (
        "import pathlib, sys, time\n"
        "from allophone.files.locks import name_locked\n"
        "number = pathlib.Path(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    with name_locked(number, wait=True):\n"
        "        value = int(number.read_text())\n"
        "        time.sleep(0.001)\n"
        "        number.write_text(str(value + 1))\n"
    )
    number = tmp_path / "number"
    number.write_text("0")
    counting = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in counting] == [0] * 4
    assert number.read_text() == "80"
    assert list(tmp_path.iterdir()) == [number]


def test_a_folder_without_locks_is_written_with_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with folder_locked(tmp_path):
        (tmp_path / "written").touch()
    assert "cannot be locked (No locks available)" in caplog.text


def test_a_folder_that_is_being_filled_is_refused(tmp_path):
    with atomic_folder(tmp_path / "voice") as folder:
        (folder / "first").touch()
        with pytest.raises(UserError, match="being written"), atomic_folder(tmp_path / "voice"):
            pass
    assert [path.name for path in tmp_path.rglob("*")] == ["voice", "first"]


def test_rows_of_two_lists_are_all_kept(tmp_path):
    with open_ledger(tmp_path, {"a": {"text": "A"}}) as one:
        with pytest.raises(UserError, match="being written"), open_ledger(tmp_path, {"b": {}}):
            pass
        (tmp_path / "a.wav").touch()
        one.record([Success(id="a", file="a.wav")])
    with open_ledger(tmp_path, {"b": {"text": "B"}}) as other:
        other.record([Success(id="b", file="b.wav")])
    rows = (tmp_path / "made.jsonl").read_text().splitlines()
    assert [row[:10] for row in rows] == ['{"id": "a"', '{"id": "b"']


def test_a_run_that_is_being_trained_is_refused(tmp_path):
    toys = Path(__file__).with_name("training_toys.py")
    process = subprocess.Popen(
        [sys.executable, str(toys), str(tmp_path), "--slow"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while process.stdout.readline() != "step 4\n":
        assert process.poll() is None
    latest = None
    while latest is None:
        latest = next(reversed(checkpoints(tmp_path)), None)
        time.sleep(0.01)
    for resume in (None, latest):
        with (
            pytest.raises(UserError, match=f"by process {process.pid} on"),
            claimed(tmp_path, resume),
        ):
            pass
    process.kill()
    process.communicate()
    with claimed(tmp_path, checkpoints(tmp_path)[-1]):
        pass
