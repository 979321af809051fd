"""The part of the extraction that runs in other processes (`allophone.processes.executors`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from allophone.config import Experiment, structure
from allophone.datasets.feature_index import FeatureIndex, prepared_utterances
from allophone.preparation.chunks import ChunkDone, extract_chunk
from allophone.registry import default_registry


def start(tables: Mapping[str, Any]) -> Callable[[range], ChunkDone]:
    """Return what extracts a chunk of the manifest, given by its rows; `tables` is the plain data of the experiment."""
    experiment = structure(Experiment, tables, where="The experiment")
    utterances = prepared_utterances(experiment)
    index = FeatureIndex(experiment, default_registry())
    return lambda rows: extract_chunk(index, utterances[rows.start : rows.stop])
