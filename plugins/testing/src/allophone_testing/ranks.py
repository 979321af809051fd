"""Training on two ranks of this machine, each in a process of its own, over gloo.

The processes are forked from a server that has imported all this once, so that only the first test
waits for PyTorch.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import torch
from torch.multiprocessing.spawn import ProcessException, start_processes

from allophone.config import load_experiment
from allophone.registry import default_registry
from allophone.training.distributed import DistributedEnv, process_group
from allophone.training.loop import train
from allophone.training.run import open_run

RANKS = 2
PATIENCE = 180.0
"""Seconds after which the ranks are taken to wait for each other."""

PRELOADED = [__name__, "torch._dynamo"]
"""What the server imports. The first optimizer of a process asks for the second, which takes seconds."""


def train_on_ranks(experiment: Path, folder: Path) -> str | None:
    """Train a saved experiment in `folder`; None, or what went wrong on a rank.

    The ranks know the plugins that are installed.
    """
    multiprocessing.set_forkserver_preload(PRELOADED)
    meeting = folder.with_name(f"{folder.name}.meeting")
    ranks = start_processes(  # type: ignore[no-untyped-call]
        _train,
        args=(experiment, folder, meeting),
        nprocs=RANKS,
        start_method="forkserver",
        join=False,
    )
    deadline = time.monotonic() + PATIENCE
    try:
        while not ranks.join(timeout=max(0.0, deadline - time.monotonic())):
            if time.monotonic() > deadline:
                return f"it was not done after {PATIENCE:.0f} seconds: one waits for the other."
    except ProcessException as error:
        return str(error)
    finally:
        for process in ranks.processes:
            process.kill()
    return None


def _train(rank: int, experiment: Path, folder: Path, meeting: Path) -> None:
    torch.set_num_threads(1)
    env = DistributedEnv(
        rank=rank, local_rank=rank, world_size=RANKS, init_method=meeting.absolute().as_uri()
    )
    with process_group(env, torch.device("cpu")) as joined:
        run = open_run(
            folder, load_experiment(experiment), rank=joined, registry=default_registry()
        )
        train(run)
