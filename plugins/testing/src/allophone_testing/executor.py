"""The contract of an executor.

from allophone_testing import ExecutorContract

class TestRay(ExecutorContract):
    executor = "ray"
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from allophone.errors import UserError
from allophone.processes.executors import Executor, Task, open_executor
from allophone.registry import Registry
from allophone_testing.contract import Contract


class ExecutorContract(Contract):
    """An executor runs every part once or more, and yields one result of each.

    executor: its name, as `--executor` takes it.
    workers: the numbers of processes to try.
    """

    executor: str
    workers: tuple[int | None, ...] = (1, 2)

    def test_each_part_has_its_result(self, registry: Registry) -> None:
        parts = list(range(20))
        for workers in self.workers:
            found = dict(self._run(registry, _task(2), parts, workers))
            assert {part: result[0] for part, result in found.items()} == {
                part: 2 * part for part in parts
            }, f"With {workers} workers the results are not those of their parts."

    def test_a_task_is_opened_anew_when_it_is_another(self, registry: Registry) -> None:
        for factor in (3, 4):
            results = [result for _, (result, _) in self._run(registry, _task(factor), [1, 2], 1)]
            assert sorted(results) == [factor, 2 * factor], (
                "A process that has opened one task runs it with the arguments of another."
            )

    def test_relative_paths_are_those_of_the_command(self, registry: Registry) -> None:
        (found,) = [folder for _, (_, folder) in self._run(registry, _task(1), [1], 1)]
        assert found == os.getcwd(), (
            f"Parts run in {found}, and the command in {os.getcwd()}: paths in arguments may be relative."
        )

    def test_no_parts_are_no_work(self, registry: Registry) -> None:
        assert list(self._run(registry, _task(1), [], None)) == []

    def test_what_a_part_raises_is_raised(self, registry: Registry) -> None:
        with pytest.raises(UserError) as caught:
            list(self._run(registry, _task(1), [1, -1], 1))
        assert caught.value.message == "There is no part -1."
        assert caught.value.hint == "Give another.", "The hint of the error is lost."

    def _run(
        self, registry: Registry, task: Task, parts: list[int], workers: int | None
    ) -> Iterator[tuple[int, Any]]:
        executor: Executor | None = open_executor(self.executor, workers, registry)
        assert executor is not None
        return iter(executor.run(task, parts))


def _task(factor: int) -> Task:
    return Task(start=f"{__name__}:multiply", arguments=(factor,))


def multiply(factor: int) -> Callable[[int], tuple[int, str]]:
    """Return the function of the task: the product, and where it was computed."""

    def run(part: int) -> tuple[int, str]:
        if part < 0:
            raise UserError(f"There is no part {part}.", hint="Give another.")
        return factor * part, os.getcwd()

    return run
