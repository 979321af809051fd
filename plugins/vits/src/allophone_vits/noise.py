"""Noise that belongs to an utterance and not to the batch that it happens to be in.

Each row is drawn by a generator of its own, at the row's own length, on the CPU. So an utterance with
a seed sounds the same alone, in any batch, and on any device.

Legend: B batch, C channels, T positions.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import torch
from torch import Tensor


class Stream(enum.IntEnum):
    """What the noise is for; each use has a stream of its own, so that none shifts another."""

    DURATION = 0
    LATENT = 1


def normal_noise(
    seeds: Sequence[int],
    stream: Stream,
    *,
    channels: int,
    lengths: Sequence[int],
    size: int | None = None,
) -> Tensor:
    """Standard normal noise [B, C, T], T the longest of `lengths` or `size`; zeros beyond a length."""
    noise = torch.zeros(len(seeds), channels, max(lengths) if size is None else size)
    for row, seed, length in zip(noise, seeds, lengths, strict=True):
        # PyTorch's CPU generator takes the lowest 32 bits of a seed alone.
        generator = torch.Generator().manual_seed((seed * len(Stream) + stream) % 2**32)
        row[:, :length] = torch.randn(channels, length, generator=generator)
    return noise
