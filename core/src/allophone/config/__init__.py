"""Experiments as TOML files: read, layered, checked, shown and kept.

`resolve` is the way in: it takes a recipe's name or a file, puts the layers together and gives a typed
`Experiment` that remembers where each value came from. Names are imported when they are first used: to
speak takes little of this.
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
