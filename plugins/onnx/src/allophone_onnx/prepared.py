"""Loading graphs from the user's cache, where they are stored split, optimised and without weights.

onnxruntime spends most of its start-up time on optimising a graph, so the optimised graph is cached, at the level
"extended", which does not depend on the processor. Weights are memory-mapped: from the voice's own files, or from a
file of the cache entry if these do not have them as they are needed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from attrs import frozen

from allophone.data.digests import digest_of
from allophone.errors import UserError
from allophone.files.cache import cache_folder
from allophone.files.parsing import read_json_object
from allophone_onnx.session import Graph, session_options
from allophone_onnx.settings import DECODER, INDEX, PartsSettings

_log = logging.getLogger(__name__)

_FORMAT = 6
"""Part of the name of every cache entry; increase it when the content of entries changes."""

NEW_WEIGHTS = "weights.bin"
"""File of a cache entry: weights that are not in the voice's files."""

_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"

_PREPARED = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
_LEVELS = {DECODER: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL}
"""Optimisation of prepared graphs. The layout for `convolutions` depends on the processor, so it is chosen at each start."""


@frozen(kw_only=True)
class Prepared:
    """The graphs of a voice: one, or its parts with their settings.

    hop_length: samples per frame, if known from splitting the graph.
    """

    graphs: Mapping[str, Graph]
    parts: PartsSettings | None = None
    hop_length: int | None = None


def load_prepared(
    files: Sequence[Path], *, providers: Sequence[str], needs: Mapping[str, Sequence[str]]
) -> Prepared:
    """Load a voice's graphs, preparing them first if they are not in the cache.

    files: one file, which is split if possible, or several, each a graph. needs: the required inputs
    of each graph, by file name.
    Raises UserError if a file is missing, corrupt or not part of a voice.
    """
    for file in files:
        if not file.is_file():
            raise UserError(f"{file} is missing.", hint="Copy all files of the voice again.")
    folder = cache_folder() / "onnx" / _key(files)
    if (folder / INDEX).is_file():
        try:
            return _load(folder, files, providers, needs)
        # A damaged cache entry can fail anywhere. If the voice is at fault, preparing it says so.
        except Exception as error:
            _log.info("%s is damaged, and is made again: %s", folder, error)
            shutil.rmtree(folder, ignore_errors=True)
    # Imported here, since a voice in the cache does not need it.
    from allophone_onnx import preparing

    with preparing.prepared(files, folder) as made:
        return _load(made, files, providers, needs)


def _key(files: Sequence[Path]) -> str:
    """The name of a cache entry. Uses size and modification time of the files: reading them would take too long."""
    told: list[Any] = [_FORMAT, onnxruntime.__version__]
    for file in files:
        told += [str(file.resolve()), *state_of(file)]
    return f"{files[0].stem}-{digest_of(told, size=8)}"


def state_of(file: Path) -> list[int]:
    """Size and modification time of a file."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _load(
    folder: Path,
    files: Sequence[Path],
    providers: Sequence[str],
    needs: Mapping[str, Sequence[str]],
) -> Prepared:
    index = read_json_object(folder / INDEX)
    weights = [np.memmap(file, dtype=np.uint8, mode="r") for file in files]

    def load(name: str) -> Graph:
        options = session_options()
        options.graph_optimization_level = _LEVELS.get(name, _PREPARED)
        placed = index["graphs"][name]
        values = [
            onnxruntime.OrtValue.ortvalue_from_numpy(
                np.asarray(weights[file][start : start + size].view(np.dtype(kind)).reshape(shape))
            )
            for _, file, start, size, kind, shape in placed
        ]
        options.add_external_initializers([one[0] for one in placed], values)
        # It maps the other weights itself, without a copy.
        options.add_session_config_entry(_FOLDER_OF_WEIGHTS, str(folder))
        return Graph(
            folder / name,
            options,
            providers=providers,
            needs=needs.get(name, ()),
            source=files[0],
            weights=values,
        )

    # onnxruntime packs weights as it loads them, each graph on one processor.
    with ThreadPoolExecutor() as pool:
        graphs = dict(zip(index["graphs"], pool.map(load, index["graphs"]), strict=True))
    parts = index["parts"]
    return Prepared(
        graphs=graphs,
        parts=None if parts is None else PartsSettings(**parts),
        hop_length=index["hop_length"],
    )
