"""Experiment configuration in TOML: reading, layering, validation and writing.

`resolve` is the entry point: it takes a recipe name or a file, merges the layers and returns a typed
`Experiment` with the origin of each value. Names are imported on first use, because synthesis needs few
of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from allophone.config.converting import structure, unstructure
    from allophone.config.experiment import Experiment
    from allophone.config.layers import Resolved, load_experiment, resolve
    from allophone.config.tables import read_toml, write_toml

__all__ = [
    "Experiment",
    "Resolved",
    "load_experiment",
    "read_toml",
    "resolve",
    "structure",
    "unstructure",
    "write_toml",
]

_LAZY = {
    "Experiment": "allophone.config.experiment",
    "Resolved": "allophone.config.layers",
    "load_experiment": "allophone.config.layers",
    "resolve": "allophone.config.layers",
    "structure": "allophone.config.converting",
    "unstructure": "allophone.config.converting",
    "read_toml": "allophone.config.tables",
    "write_toml": "allophone.config.tables",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        found = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'allophone.config' has no attribute '{name}'")
