"""Random numbers: seeded, saved, restored, and kept apart."""

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
    """The state of every generator, as numbers and tensors that torch loads without running code."""
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
    """Set every generator to a state that `random_state` gave."""
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
def seeded_apart(seed: int) -> Iterator[None]:
    """Draw from freshly seeded generators inside, and go on with the old ones outside.

    Validation is the same each time so, and how often it happens does not change the training.
    """
    outside = random_state()
    seed_everything(seed)
    try:
        yield
    finally:
        restore_random_state(outside)


@contextmanager
def deterministic_on_cpu(device: torch.device) -> Iterator[None]:
    """Make torch sum in one order on the CPU, where a resumed run must equal an unbroken one.

    Without it the gradient of indexing is added up by several threads in the order in which they come.
    """
    before = torch.get_deterministic_debug_mode()
    memory: Any = torch.utils.deterministic
    filling = memory.fill_uninitialized_memory
    if device.type == "cpu":
        torch.set_deterministic_debug_mode("warn")
        # It shows where memory is read before it is written, at a tenth of the time of a step.
        memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        memory.fill_uninitialized_memory = filling
        torch.set_deterministic_debug_mode(before)


def _cuda_in_use() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
