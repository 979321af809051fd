"""Starting the processes that train together, watching them, and telling what went wrong in them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from allophone.errors import UserError
from allophone.files.system_errors import told
from allophone.processes.lifetime import Lifeline, end_with_lifeline
from allophone.processes.processors import usable_processors
from allophone.training.failures import Failure, causes, explained, read_failure, report
from allophone.training.signals import StopRequest, stop_on_signals

_log = logging.getLogger(__name__)

_LOOKING = 0.05
"""Seconds between two looks at the ranks."""

_GRACE = 15.0
"""Seconds in which ranks end by themselves when another one has failed. On GPUs they wait for it much longer."""

_HOST = "localhost"
_REPORTS = "ALLOPHONE_REPORTS"
_TORCHRUN_REPORTS = "TORCHELASTIC_ERROR_FILE"
_RESTARTS = "TORCHELASTIC_RESTART_COUNT"


def launch(command: Sequence[str], processes: int, *, max_restarts: int = 0) -> None:
    """Run a command in several processes of this machine, and wait for them.

    The command must read its rank with `allophone.training.distributed.read_distributed_env`, and run within
    `reported_to_launcher`. SIGTERM and SIGINT are passed on to the ranks, and waited for.
    max_restarts: how often all ranks are started again when one was killed or has crashed; the command
        then finds `was_restarted`.
    Raises UserError with what went wrong in a rank, once.
    """
    with stop_on_signals() as stop:
        stop.heeded = True
        for attempt in range(max_restarts + 1):
            failures = _run(command, processes, attempt, stop)
            if not failures:
                return
            if stop:
                raise _stopped_badly(failures, processes, stop)
            error = explained(failures, processes)
            if attempt == max_restarts or any(
                one.report and one.report.expected for one in causes(failures)
            ):
                raise error
            _log.warning("%s\nRestart %d of %d.", error.message, attempt + 1, max_restarts)


def was_restarted() -> bool:
    """Whether a launcher has started this process in the place of one that failed."""
    return os.environ.get(_RESTARTS, "0") != "0"


@contextmanager
def reported_to_launcher() -> Iterator[None]:
    """End with the launcher that waits for this process, where there is one; hand it an error and end quietly.

    The launcher shows what failed first; without this every rank would print the same.
    """
    end_with_lifeline()
    pipe = os.environ.pop(_REPORTS, None)
    if pipe is None and _TORCHRUN_REPORTS not in os.environ:
        yield
        return
    try:
        yield
    except Exception as error:
        if pipe is None:
            from torch.distributed.elastic.multiprocessing.errors import get_error_handler

            get_error_handler().record_exception(told(error) or error)
        else:
            report(error).send(int(pipe))
        _leave(1)
    _leave(0)


def _run(command: Sequence[str], processes: int, attempt: int, stop: StopRequest) -> list[Failure]:
    """Start the ranks and wait until they have ended; the failures of those that did not end well."""
    store = TCPStore(_HOST, 0, is_master=True, wait_for_workers=False)
    lifeline = Lifeline()
    common = {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": _HOST,
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        _RESTARTS: str(attempt),
        **lifeline.environment,
        **_threads(processes),
    }
    pipes = [os.pipe() for _ in range(processes)]
    ranks = [
        subprocess.Popen(
            command,
            env={
                **os.environ,
                **common,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                _REPORTS: str(writing),
            },
            pass_fds=(*lifeline.inherited, writing),
            # A terminal signals the launcher alone, which passes each signal on once.
            start_new_session=True,
        )
        for rank, (_, writing) in enumerate(pipes)
    ]
    try:
        given_up = _watch(ranks, stop)
    finally:
        lifeline.close()
        for process in ranks:
            process.kill()
            process.wait()
    failures = []
    for rank, (process, (reading, writing)) in enumerate(zip(ranks, pipes, strict=True)):
        # Data workers of a killed rank have the pipe a little longer, so its end is not waited for.
        os.set_blocking(reading, False)
        os.write(writing, b"\n")
        sent = os.read(reading, 65536).strip()
        os.close(reading)
        os.close(writing)
        if process.returncode and process not in given_up:
            failures.append(read_failure(rank, process.pid, process.returncode, sent))
    return failures


def _watch(
    ranks: Sequence[subprocess.Popen[bytes]], stop: StopRequest
) -> list[subprocess.Popen[bytes]]:
    """Wait for the ranks and pass signals on; returns those still waiting for one that has failed."""
    passed_on = 0
    failed_at: float | None = None
    while running := [process for process in ranks if process.poll() is None]:
        if stop.times > passed_on:
            passed_on = stop.times
            for process in running:
                process.send_signal(stop.number)
        if failed_at is None and any(process.returncode for process in ranks):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > _GRACE:
            return running
        time.sleep(_LOOKING)
    return []


def _threads(processes: int) -> Mapping[str, str]:
    """The share of this machine's cores that each rank computes with, unless the user has chosen."""
    share = max(1, usable_processors() // processes)
    return {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(share)}


def _stopped_badly(failures: Sequence[Failure], processes: int, stop: StopRequest) -> UserError:
    by_signal = [one for one in failures if one.report is None and one.status == -stop.number]
    if len(by_signal) == len(failures):
        return UserError(f"{stop.name} came before the training had begun: nothing was saved.")
    why = explained([one for one in failures if one not in by_signal], processes)
    return UserError(
        f"After {stop.name}, {len(failures)} of {processes} ranks did not end well.\n{why.message}",
        hint="What was learned since the latest checkpoint is lost.",
    )


def _leave(status: int) -> NoReturn:
    """End this process at once, all its work being done.

    A thread of gloo may still wait for the interpreter's lock, to let go of what the last collective gave it.
    An interpreter that ends meanwhile takes such a thread down, and aborts with it.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
