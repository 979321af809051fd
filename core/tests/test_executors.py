"""Executors: processes of this machine, and what happens when they die."""

from __future__ import annotations

import os
import types

import pytest

from allophone import hookimpl
from allophone.entries import ExecutorEntry
from allophone.errors import PluginError, UserError
from allophone.processes.executors import LocalProcesses, Task, open_executor
from allophone.registry import build_registry, default_registry
from allophone_testing import ExecutorContract


class TestLocal(ExecutorContract):
    executor = "local"


def threads():
    """A task of which each process says how many threads it may use; a part of 9 ends its process."""

    def run(part):
        if part == 9:
            os._exit(1)
        return os.environ["OMP_NUM_THREADS"], os.getpid()

    return run


TASK = Task(start="test_executors:threads")


def test_processes_compute_with_one_thread_each(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    found = [result for _, result in LocalProcesses(2).run(TASK, [1, 2, 3])]
    assert {count for count, _ in found} == {"1"}
    assert os.getpid() not in {process for _, process in found}


def test_a_process_that_dies_is_an_error(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    with pytest.raises(UserError, match="A worker process died") as caught:
        list(LocalProcesses(1).run(TASK, [9]))
    assert "fewer --workers" in caught.value.hint


def test_workers_need_an_executor():
    with pytest.raises(UserError, match="--workers 3 was given without --executor"):
        open_executor(None, 3, default_registry())


def test_an_unknown_executor_names_what_there_is():
    with pytest.raises(PluginError, match="no executor 'rya'"):
        open_executor("rya", None, default_registry())


class OpensOnce(ExecutorContract):
    """An executor that runs each task like the first; its contract must fail."""

    executor = "first"

    @staticmethod
    def broken():
        class First:
            opened = None

            def __init__(self, workers):
                pass

            def run(self, task, parts):
                First.opened = First.opened or task.open()
                for part in parts:
                    yield part, First.opened(part)

        module = types.ModuleType("first")
        module.CONTRACT = 1
        module.First = First
        module.allophone_executors = hookimpl(
            lambda: [ExecutorEntry(name="first", summary="-", executor="first_executor:First")]
        )
        return module


def test_the_contract_fails_for_an_executor_that_opens_no_other_task(monkeypatch):
    module = OpensOnce.broken()
    monkeypatch.setitem(__import__("sys").modules, "first_executor", module)
    registry = build_registry({"first": module})
    OpensOnce().test_what_a_part_raises_is_raised(registry)
    with pytest.raises(AssertionError, match="with the arguments of another"):
        OpensOnce().test_a_task_is_opened_anew_when_it_is_another(registry)
