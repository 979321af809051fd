"""Starting the processes that train together, and finding one's place among them.

Three ways lead to several processes, and none of them is ours: torch's elastic launcher, which `start`
calls with this very command; torchrun, started by the user; and SLURM's srun. In each of them a process
finds in its environment which one it is (`join`).
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from attrs import frozen

from allophone.errors import UserError
from allophone.training.ranks import Rank

_PATIENCE = timedelta(minutes=30)
"""How long a rank waits for another one, which may be reading a corpus or writing a checkpoint."""

_groups: list[object] = []
"""The process groups that were joined, kept for good. A module in DistributedDataParallel that outlives
its group would otherwise be the last to hold it, and destroy it with the interpreter's lock in hand,
which gloo's own thread may be waiting for: a deadlock when all the work is done."""

_ENDED = "ended"
"""The file that a rank leaves where the launcher looks for its errors, when there were none."""


@frozen(kw_only=True)
class Place:
    """Which process this is, as the environment tells it.

    init_method: where torch.distributed meets the others.
    """

    rank: int
    local_rank: int
    world_size: int
    init_method: str


def parse_devices(devices: str | None, processes: int | None) -> tuple[str, ...]:
    """The device of each process to start on this machine: one item a process.

    devices: "cpu", or numbers of GPUs such as "0,1"; None takes the first GPU, or the CPU without one.
    processes: how many to start; only the CPU can be shared.
    """
    if devices is None:
        devices = "0" if torch.cuda.is_available() else "cpu"
    if devices == "cpu":
        return ("cpu",) * (processes or 1)
    numbers = [number.strip() for number in devices.split(",")]
    if not all(number.isdigit() for number in numbers) or len(set(numbers)) != len(numbers):
        raise UserError(
            f"Invalid --devices value '{devices}'.",
            hint="Give 'cpu', or numbers of GPUs as in '0,1'.",
        )
    there = torch.cuda.device_count()
    if absent := [number for number in numbers if int(number) >= there]:
        raise UserError(
            f"There is no GPU {', '.join(absent)} here: torch sees {there}.",
            hint="`allophone doctor` says why a GPU is not seen.",
        )
    if processes not in (None, len(numbers)):
        raise UserError(
            f"{processes} processes do not fit {len(numbers)} GPUs: each process has one of its own.",
            hint="Leave --processes out; it is for --devices cpu.",
        )
    return tuple(f"cuda:{number}" for number in numbers)


def find_place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place that torchrun or srun gave this process; None when it was started alone."""
    if {"RANK", "WORLD_SIZE"} <= environment.keys():
        rank = int(environment["RANK"])
        return Place(
            rank=rank,
            local_rank=int(environment.get("LOCAL_RANK", rank)),
            world_size=int(environment["WORLD_SIZE"]),
            init_method="env://",
        )
    # A batch script has SLURM_PROCID too, but is no step: only srun sets the number of a step's tasks.
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        nodes = environment.get("SLURM_STEP_NODELIST", environment.get("SLURM_NODELIST", ""))
        host = environment.get("MASTER_ADDR", first_node(nodes))
        job = int(environment.get("SLURM_JOB_ID", "0"))
        port = environment.get("MASTER_PORT", str(20000 + job % 20000))
        return Place(
            rank=int(environment["SLURM_PROCID"]),
            local_rank=int(environment["SLURM_LOCALID"]),
            world_size=int(environment["SLURM_STEP_NUM_TASKS"]),
            init_method=f"tcp://{host}:{port}",
        )
    return None


def first_node(nodes: str) -> str:
    """The first host of a SLURM node list: "gpu-03" of "gpu-[03-05,09],other"."""
    found = re.match(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?", nodes)
    if not found:
        raise UserError(
            f"Cannot read the first host from the SLURM node list '{nodes}'.",
            hint="Set MASTER_ADDR to the first node's name.",
        )
    return "".join(part or "" for part in found.groups())


def device_of(place: Place, devices: str | None) -> torch.device:
    """The device of a process that a launcher started: its number among those of its machine.

    devices: as the user gave them, or None for every GPU that is there.
    """
    every = tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) or ("cpu",)
    given = parse_devices(devices, None) if devices else every
    if given == ("cpu",) or (given == every and len(every) == 1):
        # One GPU is enough for all where the scheduler shows each task only its own.
        return torch.device(given[0])
    if place.local_rank >= len(given):
        raise UserError(
            f"Process {place.local_rank} of this machine has no GPU: there are {len(given)}.",
            hint="Start as many processes a machine as it has GPUs.",
        )
    return torch.device(given[place.local_rank])


@contextmanager
def join(place: Place | None, device: torch.device) -> Iterator[Rank]:
    """Join the process group while inside; alone where there is no place in one."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if place is None:
        yield Rank(device=device)
        return
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        init_method=place.init_method,
        rank=place.rank,
        world_size=place.world_size,
        timeout=_PATIENCE,
    )
    _groups.append(dist.group.WORLD)
    try:
        yield Rank(index=place.rank, world_size=place.world_size, device=device)
    finally:
        dist.destroy_process_group()


def start(command: Sequence[str], processes: int) -> None:
    """Run a command in several processes under torch's elastic launcher, and wait for them.

    The command finds its place with `find_place` and wraps its work in `reported_to_launcher`.
    Raises UserError with what a rank raised, once. A signal is passed on, and the ranks end by it.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _hush("torch.distributed.elastic")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (available or 1) // processes)))
    with tempfile.TemporaryDirectory(prefix="allophone-ranks-") as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            elastic_launch(config, command[0])(*command[1:])
        except ChildFailedError as error:
            raise UserError(_what_failed(error.failures)) from None
        except SignalException as stop:
            # The launcher has waited for the ranks, but does not tell how they ended.
            _check_ended(Path(logs), processes, stop.sigval.name)


@contextmanager
def reported_to_launcher() -> Iterator[None]:
    """Hand an error to the launcher that waits for this process, where there is one, and end quietly.

    The launcher shows what failed first; without this every rank would print the same.
    """
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    try:
        yield
    except Exception as error:
        if not error_file:
            raise
        get_error_handler().record_exception(error)
        _leave(1)
    if error_file:
        Path(error_file).with_name(_ENDED).touch()
        _leave(0)


def _leave(status: int) -> NoReturn:
    """End this process at once, all its work being done.

    A thread of gloo may still wait for the interpreter's lock, to let go of what the last collective gave it.
    An interpreter that ends meanwhile takes such a thread down, and aborts with it.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _hush(package: str) -> None:
    """Silence the loggers of a package, each of which has a level of its own."""
    for name in logging.root.manager.loggerDict:
        if name.startswith(package):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _what_failed(failures: Mapping[int, Any]) -> str:
    """What the ranks raised, each message once, without those that only lost their connection."""
    told: dict[str, list[int]] = {}
    silent: list[str] = []
    for rank, failure in sorted(failures.items()):
        message = _recorded(Path(failure.error_file))
        if message is None:
            silent.append(f"Rank {rank} ended with exit status {failure.exitcode}.")
        else:
            told.setdefault(message, []).append(rank)
    causes = {message: ranks for message, ranks in told.items() if not _is_lost_peer(message)}
    shown = [
        f"{_listed(ranks)}: {message}" if len(ranks) < len(failures) else message
        for message, ranks in (causes or told).items()
    ]
    return "\n".join(shown or silent)


def _check_ended(logs: Path, processes: int, received: str) -> None:
    """Raise UserError unless every rank came to its end after a signal."""
    ended = len(list(logs.rglob(_ENDED)))
    if ended == processes:
        return
    told = {message for path in logs.rglob("error.json") if (message := _recorded(path))}
    raise UserError(
        "\n".join(
            [f"After {received}, {processes - ended} of {processes} ranks did not end well.", *told]
        ),
        hint="What was learned since the latest checkpoint is lost.",
    )


def _recorded(path: Path) -> str | None:
    """The message in the file that a failed rank left, with the traceback unless it is a user's error."""
    if not path.is_file():
        return None
    recorded = json.loads(path.read_text(encoding="utf-8"))["message"]
    if isinstance(recorded, str):
        return recorded
    kind, _, message = recorded["message"].partition(": ")
    if kind in ("UserError", "ConfigError", "PluginError", "FloatingPointError"):
        return message
    return str(recorded["extraInfo"]["py_callstack"]).strip()


def _is_lost_peer(message: str) -> bool:
    return any(word in message for word in ("closed by peer", "reset by peer", "DistBackendError"))


def _listed(ranks: Sequence[int]) -> str:
    return f"Rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"
