"""A process that extracts chunks. Light until it is started: what it imports must find its limits set."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allophone.feature_index import FeatureIndex
    from allophone.preparation.chunks import Chunk, ChunkDone

_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

_index: FeatureIndex | None = None


def start(tables: Mapping[str, Any]) -> None:
    """Make this process ready to extract; `tables` is the plain data of an experiment.

    It has one thread to compute with, since there is a process for each core, and ends with the process
    that has started it, however that one ends.
    """
    global _index
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    threading.Thread(target=_end_with_parent, daemon=True).start()

    from allophone.config import Experiment, structure
    from allophone.feature_index import FeatureIndex
    from allophone.registry import default_registry

    experiment = structure(Experiment, tables, where="The experiment")
    _index = FeatureIndex(experiment, default_registry())


def run(chunk: Chunk) -> ChunkDone:
    """Extract a chunk in a process that was started."""
    from allophone.preparation.chunks import extract_chunk

    assert _index is not None
    return extract_chunk(_index, chunk)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    # Not sys.exit: the main thread waits in a queue that nobody will ever write to.
    os._exit(1)
