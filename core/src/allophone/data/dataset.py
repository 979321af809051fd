"""From stored arrays to batches.

B batch, L longest length of a feature in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch.utils.data import Dataset

from allophone.data.batch import Batch, Padded
from allophone.data.store import StoredArray
from allophone.text.symbols import SymbolTable


@frozen(kw_only=True)
class Example:
    """One utterance of a split, with where its features lie; the ids are the vocabulary's."""

    id: str
    features: Mapping[str, StoredArray]
    speaker: int
    language: int
    seconds: float


@frozen(kw_only=True)
class LoadedExample:
    """An example whose features were read: arrays [L, ...] of float32 or int64."""

    example: Example
    features: Mapping[str, NDArray[Any]]


class ExampleDataset(Dataset[LoadedExample]):
    """Reads examples from the feature store; symbols become the ids of a table."""

    def __init__(self, examples: Sequence[Example], symbols: SymbolTable) -> None:
        self._examples = examples
        self._symbols = symbols

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> LoadedExample:
        example = self._examples[index]
        read = {name: self._numbers(stored.read()) for name, stored in example.features.items()}
        return LoadedExample(example=example, features=read)

    def _numbers(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.kind == "U":
            return np.array(self._symbols.encode(array.tolist()), dtype=np.int64)
        return array.astype(np.float32 if array.dtype.kind == "f" else np.int64, copy=False)


def collate(loaded: Sequence[LoadedExample]) -> Batch:
    """Put examples together, in order, each feature padded with zeros to the longest."""
    examples = [item.example for item in loaded]
    return Batch(
        ids=tuple(example.id for example in examples),
        features={
            name: _padded([item.features[name] for item in loaded]) for name in loaded[0].features
        },
        speakers=torch.tensor([example.speaker for example in examples]),
        languages=torch.tensor([example.language for example in examples]),
        audio_seconds=sum(example.seconds for example in examples),
    )


def _padded(arrays: Sequence[NDArray[Any]]) -> Padded:
    lengths = [len(array) for array in arrays]
    values = np.zeros((len(arrays), max(lengths), *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for row, array in zip(values, arrays, strict=True):
        row[: len(array)] = array
    return Padded(values=torch.from_numpy(values), lengths=torch.tensor(lengths))
