"""Bounds the memory of a process that synthesizes many different sentences on a CPU.

Every length of a sentence is a new shape for oneDNN, PyTorch's library of convolutions. It caches what it has compiled for
each shape, up to 1,024 of some 2 MB. Besides, tensors of ever other sizes leave holes in glibc's heap.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

_CAPACITY = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_SHAPES = 128
"""Some more than one sentence needs (about 100 with VITS): what its chunks share is found again."""

_SLACK = 2**27
"""Bytes by which a process may grow before the heap is trimmed, which takes milliseconds."""


def limit_shape_cache() -> None:
    """Limit oneDNN's cache, unless the user has; works until its first convolution in this process."""
    os.environ.setdefault(_CAPACITY, str(_SHAPES))


class HeapTrimmer:
    """Returns free memory of the heap to the system when the process has grown; for Linux with glibc."""

    def __init__(self) -> None:
        self._trim = _malloc_trim()
        self._least: int | None = None

    def __call__(self) -> None:
        """Trim the heap if this process has grown since the last time."""
        if self._trim is None:
            return
        if self._least is None:
            self._least = resident_bytes()
        elif resident_bytes() > self._least + _SLACK:
            self._trim(0)
            self._least = resident_bytes()


def resident_bytes() -> int:
    """The memory of this process that is in RAM. Linux."""
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    # Other C libraries, such as musl, do not have it.
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
