"""Parity with a reference implementation: what plugins' tests of it share.

The reference's numbers are computed once and stored; its weights are not, but are drawn from their names by
whoever needs them.

    golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")

    def test_the_encoder(golden):
        model.load_state_dict({name: weight(reference_name(name), t.shape) for name, t in ...})
        np.testing.assert_allclose(model(inputs).numpy(), golden["encoder"], atol=1e-5)
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

Golden = dict[str, NDArray[np.float32]]


def golden_fixture(path: Path) -> Callable[[], Golden]:
    """A fixture of a module that has the arrays of an .npz file by their names."""

    @pytest.fixture(scope="module")
    def golden() -> Golden:
        with np.load(path) as stored:
            return dict(stored)

    return golden


def normal(name: str, shape: Sequence[int]) -> NDArray[np.float64]:
    """Standard normal numbers that are always the same for a name."""
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))


def weight(name: str, shape: Sequence[int]) -> Tensor:
    """The weight that a reference calls `name`, about of the size that training leaves."""
    draw = normal(name, shape)
    if name.endswith((".gamma", ".weight_g")):
        values = 1 + 0.1 * draw
    elif name.endswith((".weight", ".weight_v", ".weight_orig")):
        values = draw / np.sqrt(np.prod(shape[1:]))
    else:
        values = 0.1 * draw
    return torch.tensor(values, dtype=torch.float32)
