"""Graphs as they are loaded: cut, optimised once, and kept in the user's cache without their weights.

onnxruntime spends most of a start on optimising a graph. What it makes of a graph is kept, at the level
"extended", whose results do not depend on the processor. Weights are not copied: a kept graph refers to
them in the voice's own files, which are mapped into memory, so a cache entry has a megabyte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from attrs import frozen

from allophone.cache import cache_folder
from allophone.data.digests import digest_of
from allophone.errors import UserError
from allophone_onnx.session import Graph, session_options
from allophone_onnx.settings import INDEX, PartsSettings

_FORMAT = 2
"""Part of the name of every entry: raised when what is kept changes."""


@frozen(kw_only=True)
class Prepared:
    """The graphs of a voice: one, or three with how they work together.

    hop_length: samples a frame, where cutting has found it.
    """

    graphs: Mapping[str, Graph]
    parts: PartsSettings | None = None
    hop_length: int | None = None


def load_prepared(
    files: Sequence[Path], *, providers: Sequence[str], needs: Mapping[str, Sequence[str]]
) -> Prepared:
    """Load a voice's graphs, preparing them where nothing is kept of these files yet.

    files: one file, which is cut if it can be, or several, each a graph. needs: the inputs that each
    graph must have, by the name of its file.
    Raises UserError for files that are missing, damaged or not of a voice.
    """
    for file in files:
        if not file.is_file():
            raise UserError(f"{file} is missing.", hint="Copy the voice again, whole.")
    folder = cache_folder() / "onnx" / _key(files)
    if (folder / INDEX).is_file():
        return _load(folder, files, providers, needs)
    # Imported here: once a voice is prepared, nothing of it is needed.
    from allophone_onnx import preparing

    with preparing.prepared(files, folder) as made:
        return _load(made, files, providers, needs)


def _key(files: Sequence[Path]) -> str:
    """What decides an entry. Files are known by size and time: reading them would take longer than all else."""
    told: list[Any] = [_FORMAT, onnxruntime.__version__]
    for file in files:
        told += [str(file.resolve()), *state_of(file)]
    return f"{files[0].stem}-{digest_of(told, size=8)}"


def state_of(file: Path) -> list[int]:
    """What changes when a file does: its size, and when it was written."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _load(
    folder: Path,
    files: Sequence[Path],
    providers: Sequence[str],
    needs: Mapping[str, Sequence[str]],
) -> Prepared:
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    weights = [np.memmap(file, dtype=np.uint8, mode="r") for file in files]
    graphs = {}
    for name, placed in index["graphs"].items():
        options = session_options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        values = [
            onnxruntime.OrtValue.ortvalue_from_numpy(
                np.asarray(weights[file][start : start + size].view(np.dtype(kind)).reshape(shape))
            )
            for _, file, start, size, kind, shape in placed
        ]
        options.add_external_initializers([one[0] for one in placed], values)
        graphs[name] = Graph(
            folder / name,
            options,
            providers=providers,
            needs=needs.get(name, ()),
            called=files[0],
            weights=values,
        )
    parts = index["parts"]
    return Prepared(
        graphs=graphs,
        parts=None if parts is None else PartsSettings(**parts),
        hop_length=index["hop_length"],
    )
