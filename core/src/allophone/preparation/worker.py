"""Worker process of the extraction.

Heavy imports are deferred to `start`, because libraries read their thread limits when they are imported.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

from allophone.processes import ignore_stops

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
    """Initialize a worker process; `tables` is the plain data of the experiment.

    The process computes with one thread, since there is one process per core. It ignores SIGTERM and SIGINT,
    and exits when its parent exits for any reason.
    """
    global _index
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ignore_stops()

    from allophone.config import Experiment, structure
    from allophone.feature_index import FeatureIndex
    from allophone.registry import default_registry

    experiment = structure(Experiment, tables, where="The experiment")
    _index = FeatureIndex(experiment, default_registry())


def run(chunk: Chunk) -> ChunkDone:
    """Extract a chunk in a worker process."""
    from allophone.preparation.chunks import extract_chunk

    assert _index is not None
    return extract_chunk(_index, chunk)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    # Not sys.exit: the main thread is blocked on a queue that is no longer written to.
    os._exit(1)
