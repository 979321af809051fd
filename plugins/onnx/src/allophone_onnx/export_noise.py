"""Noise that an exported graph makes by itself, so that a seed says the same again.

The random operators of ONNX take no seed at run time. As in `noise`, each number is a hash of the seed, the row
and the place in the row: integer arithmetic, the same on every machine and in every batch.

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

    seed: [] int64; below 0 it is chosen anew each time.
    """
    rows, positions = like.shape
    chosen = (torch.rand((), device=seed.device) * 2**24).long()
    seed = torch.where(seed < 0, chosen, seed) + torch.arange(rows, device=seed.device)
    key = _scrambled((seed * len(Stream) + stream) & _32_BITS).view(-1, 1, 1)
    place = torch.arange(positions, device=seed.device) * channels
    place = place + torch.arange(channels, device=seed.device).unsqueeze(1)  # [C, T]
    first, second = (_uniform((2 * place + half) & _32_BITS, key) for half in (0, 1))
    # Box and Muller 1958.
    return (-2 * first.log()).sqrt() * (2 * math.pi * second).cos()


def _uniform(counter: Tensor, key: Tensor) -> Tensor:
    """Numbers between 0 and 1, neither of which they are: counter [C, T], key [B, 1, 1] -> [B, C, T]."""
    bits = _scrambled(counter ^ key)
    # All that a fraction of float32 can hold, and a half more.
    return ((bits >> 9).float() + 0.5) * 2.0**-23


def _scrambled(bits: Tensor) -> Tensor:
    """A hash of 32 bits, one to one, in which each bit of the input moves about half of the output's."""
    for shift, factor in ROUNDS:
        bits = ((bits ^ (bits >> shift)) * factor) & _32_BITS
    return bits ^ (bits >> 15)
