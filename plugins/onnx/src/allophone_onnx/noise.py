"""The noise of exported voices in NumPy, equal to that of `export_noise` inside a graph.

C channels, T positions.
"""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

# Below 2^31, so that products with 32-bit numbers fit in 64 bits.
ROUNDS = ((16, 0x21F0AAAD), (15, 0x735A2D97))
"""Shift and factor of each round of the hash."""


class Stream(enum.IntEnum):
    """The use of the noise; each use has an independent stream."""

    DURATION = 0
    LATENT = 1


def seeded_noise(
    seed: int, stream: Stream, *, channels: int, positions: int, first: int = 0
) -> NDArray[np.float32]:
    """Standard normal noise [C, T] of `positions` positions starting at `first`.

    Each number is a hash of the seed and its position, so any range can be computed on its own.
    """
    key = _hash(np.array([(seed * len(Stream) + stream) % 2**32], dtype=np.uint32))
    place = np.arange(first, first + positions, dtype=np.uint32) * np.uint32(channels)
    place = place + np.arange(channels, dtype=np.uint32)[:, None]
    one, other = (_uniform(np.uint32(2) * place + np.uint32(half), key) for half in (0, 1))
    # Box and Muller 1958.
    radius = np.sqrt(np.float32(-2) * np.log(one))
    return np.asarray(radius * np.cos(np.float32(2 * np.pi) * other), dtype=np.float32)


def _uniform(counter: NDArray[np.uint32], key: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Numbers in the open interval (0, 1)."""
    bits = _hash(counter ^ key)
    # The 23 bits of a float32 fraction, plus one half to exclude 0.
    return ((bits >> np.uint32(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def _hash(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A bijective hash: each input bit flips about half of the output bits."""
    for shift, factor in ROUNDS:
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    return bits ^ (bits >> np.uint32(15))
