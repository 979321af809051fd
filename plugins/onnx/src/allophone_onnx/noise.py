"""The noise of exported voices, in NumPy: the same numbers as `export_noise` computes inside a graph.

C channels, T positions.
"""

from __future__ import annotations

import enum

import numpy as np
from numpy.typing import NDArray

# Below 2^31, so that products of 32 bits by these do not leave 64 bits.
ROUNDS = ((16, 0x21F0AAAD), (15, 0x735A2D97))
"""Shift and factor of each round of the hash."""

_32_BITS = np.uint64(2**32 - 1)


class Stream(enum.IntEnum):
    """What the noise is for; each use has a stream of its own, so that none shifts another."""

    DURATION = 0
    LATENT = 1


def seeded_noise(
    seed: int, stream: Stream, *, channels: int, positions: int, first: int = 0
) -> NDArray[np.float32]:
    """Standard normal noise [C, T] of the positions from `first` on.

    Each number is a hash of the seed and its place, so any stretch can be had by itself.
    """
    key = _scrambled(np.array((seed * len(Stream) + stream) % 2**32, dtype=np.uint64))
    place = np.arange(first, first + positions, dtype=np.uint64) * np.uint64(channels)
    place = place + np.arange(channels, dtype=np.uint64)[:, None]
    one, other = (_uniform(np.uint64(2) * place + np.uint64(half), key) for half in (0, 1))
    # Box and Muller 1958.
    radius = np.sqrt(np.float32(-2) * np.log(one))
    return np.asarray(radius * np.cos(np.float32(2 * np.pi) * other), dtype=np.float32)


def _uniform(counter: NDArray[np.uint64], key: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Numbers between 0 and 1, both excluded."""
    bits = _scrambled((counter & _32_BITS) ^ key)
    # All that a fraction of float32 can hold, and a half more.
    return ((bits >> np.uint64(9)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def _scrambled(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of 32 bits, one to one, in which each bit of the input moves about half of the output's."""
    for shift, factor in ROUNDS:
        bits = ((bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)) & _32_BITS
    return bits ^ (bits >> np.uint64(15))
