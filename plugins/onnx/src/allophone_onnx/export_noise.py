"""Seeded noise inside an exported graph.

The random operators of ONNX take no seed at run time. As in `noise`, each number is a hash of the seed, the row
and the position in the row: integer arithmetic, the same on every machine and in every batch.

Legend: B batch, C channels, T positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from allophone_onnx.noise import ROUNDS, Stream

_32_BITS = 2**32 - 1


def seeded_noise(seed: Tensor, stream: Stream, *, channels: int, like: Tensor) -> Tensor:
    """Standard normal noise [B, C, T] with B and T of `like` [B, T]; row r is that of `seed` + r.

    seed: [] int64; if negative, a random seed is used on each run.
    """
    rows, positions = like.shape
    chosen = (torch.rand((), device=seed.device) * 2**24).long()
    seed = torch.where(seed < 0, chosen, seed) + torch.arange(rows, device=seed.device)
    key = _hash((seed * len(Stream) + stream) & _32_BITS).view(-1, 1, 1)
    place = torch.arange(positions, device=seed.device) * channels
    place = place + torch.arange(channels, device=seed.device).unsqueeze(1)  # [C, T]
    first, second = (_uniform((2 * place + half) & _32_BITS, key) for half in (0, 1))
    # Box and Muller 1958.
    return (-2 * first.log()).sqrt() * (2 * math.pi * second).cos()


def _uniform(counter: Tensor, key: Tensor) -> Tensor:
    """Numbers in the open interval (0, 1): counter [C, T], key [B, 1, 1] -> [B, C, T]."""
    bits = _hash(counter ^ key)
    # The 23 bits of a float32 fraction, plus one half to exclude 0.
    return ((bits >> 9).float() + 0.5) * 2.0**-23


def _hash(bits: Tensor) -> Tensor:
    """A bijective 32-bit hash: each input bit flips about half of the output bits."""
    for shift, factor in ROUNDS:
        bits = ((bits ^ (bits >> shift)) * factor) & _32_BITS
    return bits ^ (bits >> 15)
