"""Random number generators: seeding, saving and restoring their state."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed the generators of Python, NumPy and torch (every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def random_state() -> dict[str, Any]:
    """Return the state of all generators as numbers and tensors, which `torch.load` can load safely."""
    kind, numbers, gauss = random.getstate()
    numpy_state: Mapping[str, Any] = np.random.get_state(legacy=False)
    return {
        "python": (kind, numbers, gauss),
        "numpy": {
            "key": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "pos": int(numpy_state["state"]["pos"]),
            "has_gauss": int(numpy_state["has_gauss"]),
            "gauss": float(numpy_state["gauss"]),
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if _cuda_in_use() else None,
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Restore the state of all generators from `random_state`."""
    kind, numbers, gauss = state["python"]
    random.setstate((kind, tuple(numbers), gauss))
    saved = state["numpy"]
    np.random.set_state(
        {
            "bit_generator": "MT19937",
            "state": {"key": saved["key"].numpy().astype(np.uint32), "pos": saved["pos"]},
            "has_gauss": saved["has_gauss"],
            "gauss": saved["gauss"],
        }
    )
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def fork_rng(seed: int) -> Iterator[None]:
    """Context manager that seeds all generators and restores their previous state on exit.

    Makes validation reproducible, and training independent of how often validation runs.
    """
    state = random_state()
    seed_everything(seed)
    try:
        yield
    finally:
        restore_random_state(state)


@contextmanager
def deterministic_on_cpu(device: torch.device) -> Iterator[None]:
    """Context manager that makes torch deterministic on the CPU, so that resuming does not change a run.

    Otherwise several threads accumulate the gradient of indexing in arbitrary order. Does nothing on a GPU.
    """
    debug_mode = torch.get_deterministic_debug_mode()
    deterministic: Any = torch.utils.deterministic
    fill_memory = deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.set_deterministic_debug_mode("warn")
        # Filling memory is for debugging only and takes a tenth of a step.
        deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        deterministic.fill_uninitialized_memory = fill_memory
        torch.set_deterministic_debug_mode(debug_mode)


def _cuda_in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
