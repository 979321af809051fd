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

_32_BITS = np.uint64(2**32 - 1)


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
    key = _hash(np.array((seed * len(Stream) + stream) % 2**32, dtype=np.uint64))
    place = np.arange(first, first + positions, dtype=np.uint64) * np.uint64(channels)
    place = place + np.arange(channels, dtype=np.uint64)[:, None]
    one, other = (_uniform(np.uint64(2) * place + np.uint64(half), key) for half in (0, 1))
    # Box and Muller 1958.
    radius = np.sqrt(np.float32(-2) * np.log(one))
    return np.asarray(radius * np.cos(np.float32(2 * np.pi) * other), dtype=np.float32)


def _uniform(counter: NDArray[np.uint64], key: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Numbers in the open interval (0, 1)."""
    bits = _hash((counter & _32_BITS) ^ key)
    # The 23 bits of a float32 fraction, plus one half to exclude 0.
    return ((bits >> np.uint64(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def _hash(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijective 32-bit hash: each input bit flips about half of the output bits."""
    for shift, factor in ROUNDS:
        bits = ((bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)) & _32_BITS
    return bits ^ (bits >> np.uint64(15))
