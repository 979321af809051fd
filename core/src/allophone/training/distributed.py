"""The rank of this process, its device, and the process group.

Processes are started by `allophone.training.launch`, by torchrun, or by SLURM's srun. In all cases a process
reads its rank from the environment (`read_distributed_env`).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from attrs import frozen

from allophone.errors import UserError, shown
from allophone.training.ranks import Rank

_log = logging.getLogger(__name__)

_TIMEOUT = timedelta(minutes=30)
"""Timeout of collectives. It is long, since another rank may be reading a corpus or writing a checkpoint."""

_groups: list[object] = []
"""References that keep all process groups alive until the process exits. Otherwise a module in
DistributedDataParallel can hold the last reference and destroy the group while it holds the GIL, which
gloo's thread may be waiting for: a deadlock at the end of training."""


@frozen(kw_only=True)
class DistributedEnv:
    """The rank of this process, as set by the launcher.

    init_method: URL for the rendezvous of torch.distributed.
    """

    rank: int
    local_rank: int
    world_size: int
    init_method: str


def parse_devices(devices: str | None, processes: int | None) -> tuple[str, ...]:
    """Return the device of each process to start on this machine.

    devices: "cpu", or GPU numbers such as "0,1"; None for the first GPU, or the CPU if there is none.
    processes: number of processes, for the CPU; on GPUs there is one process per GPU.
    Raises UserError if the values are invalid.
    """
    if devices is None:
        devices = "0" if torch.cuda.is_available() else "cpu"
    if devices == "cpu":
        return ("cpu",) * (processes or 1)
    numbers = [number.strip() for number in devices.split(",")]
    if not all(number.isdigit() for number in numbers) or len(set(numbers)) != len(numbers):
        raise UserError(
            f"Invalid --devices value '{devices}'.",
            hint="Expected 'cpu' or GPU numbers such as '0,1'.",
        )
    available = torch.cuda.device_count()
    if absent := [number for number in numbers if int(number) >= available]:
        raise UserError(
            f"GPU {', '.join(absent)} is not available; torch finds {available} GPUs.",
            hint="Run `allophone doctor` to find out why.",
        )
    if processes not in (None, len(numbers)):
        raise UserError(
            f"--processes is {processes}, but --devices lists {len(numbers)} GPUs; each GPU has one "
            "process.",
            hint="Omit --processes; it is for --devices cpu.",
        )
    return tuple(f"cuda:{number}" for number in numbers)


def read_distributed_env(environment: Mapping[str, str] = os.environ) -> DistributedEnv | None:
    """Read the variables that torchrun or srun set; None if the process was started alone.

    Raises UserError with the variable and its value if a number in the environment is invalid.
    """

    def number(name: str, default: int | None = None, *, below: int | None = None) -> int:
        value = environment.get(name, default)
        digits = str(value)
        found = int(digits) if digits.isdecimal() and len(digits) < 20 else -1
        if found < 0 or (below is not None and found >= below):
            expected = "a number from 0" if below is None else f"a number from 0 to {below - 1}"
            given = "is not set" if value is None else f"is {shown(value)}"
            raise UserError(
                f"The environment variable {name} {given}; expected {expected}.",
                hint="torchrun and srun set it. To train in one process, unset it: "
                f"env -u {name} allophone train ...",
            )
        return found

    if {"RANK", "WORLD_SIZE"} <= environment.keys():
        world_size = max(1, number("WORLD_SIZE"))
        rank = number("RANK", below=world_size)
        return DistributedEnv(
            rank=rank,
            local_rank=number("LOCAL_RANK", rank),
            world_size=world_size,
            init_method="env://",
        )
    # SLURM_PROCID is set in batch scripts too; SLURM_STEP_NUM_TASKS only by srun.
    tasks = number("SLURM_STEP_NUM_TASKS", 1)
    if tasks > 1:
        nodes = environment.get("SLURM_STEP_NODELIST", environment.get("SLURM_NODELIST", ""))
        host = environment.get("MASTER_ADDR", first_node(nodes))
        port = number("MASTER_PORT", 20000 + number("SLURM_JOB_ID", 0) % 20000, below=2**16)
        return DistributedEnv(
            rank=number("SLURM_PROCID", below=tasks),
            local_rank=number("SLURM_LOCALID", below=tasks),
            world_size=tasks,
            init_method=f"tcp://{host}:{port}",
        )
    if "RANK" in environment or "WORLD_SIZE" in environment:
        name, other = ("RANK", "WORLD_SIZE") if "RANK" in environment else ("WORLD_SIZE", "RANK")
        _log.warning("%s is set without %s: this process trains alone.", name, other)
    return None


def first_node(nodes: str) -> str:
    """Return the first host of a SLURM node list, such as "gpu-03" for "gpu-[03-05,09],other"."""
    found = re.match(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?", nodes)
    if not found:
        raise UserError(
            f"Cannot read the first host from the SLURM node list '{nodes}'.",
            hint="Set MASTER_ADDR to the name of the first node.",
        )
    return "".join(part or "" for part in found.groups())


def local_device(env: DistributedEnv, devices: str | None) -> torch.device:
    """Return the device of a process with this local rank.

    devices: the value of --devices, or None for all available GPUs.
    Raises UserError if there are more processes than GPUs.
    """
    available = tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) or ("cpu",)
    selected = parse_devices(devices, None) if devices else available
    if selected == ("cpu",) or (selected == available and len(available) == 1):
        # Some schedulers make a different single GPU visible to each task.
        return torch.device(selected[0])
    if env.local_rank >= len(selected):
        raise UserError(
            f"Process {env.local_rank} of this machine has no GPU: there are {len(selected)}.",
            hint="Start at most one process per GPU.",
        )
    return torch.device(selected[env.local_rank])


@contextmanager
def process_group(env: DistributedEnv | None, device: torch.device) -> Iterator[Rank]:
    """Context manager that joins the process group, or runs as a single process if `env` is None."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if env is None:
        yield Rank(device=device)
        return
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
        init_method=env.init_method,
        rank=env.rank,
        world_size=env.world_size,
        timeout=_TIMEOUT,
    )
    _groups.append(dist.group.WORLD)
    try:
        yield Rank(index=env.rank, world_size=env.world_size, device=device)
    finally:
        dist.destroy_process_group()
