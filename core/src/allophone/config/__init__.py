"""Experiments as TOML files: read, layered, checked, shown and kept.

`resolve` is the way in: it takes a recipe's name or a file, puts the layers together and gives a typed
`Experiment` that remembers where each value came from.
"""

from __future__ import annotations

from allophone.config.experiment import Experiment
from allophone.config.resolve import Resolved, load_experiment, resolve
from allophone.config.structure import structure, unstructure
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
