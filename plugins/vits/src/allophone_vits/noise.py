"""Per-utterance noise, independent of batching and device.

Each row is drawn on the CPU with its own generator and at its own length, so an utterance with a given
seed sounds the same alone, in any batch and on any device.

Legend: B batch, C channels, T positions.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import torch
from torch import Tensor


class Stream(enum.IntEnum):
    """Independent noise streams of one seed."""

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
    """Standard normal noise [B, C, T], zero past each length; T is `size` or the largest of `lengths`."""
    noise = torch.zeros(len(seeds), channels, max(lengths) if size is None else size)
    for row, seed, length in zip(noise, seeds, lengths, strict=True):
        # PyTorch's CPU generator uses only the lowest 32 bits of a seed.
        generator = torch.Generator().manual_seed((seed * len(Stream) + stream) % 2**32)
        row[:, :length] = torch.randn(channels, length, generator=generator)
    return noise
