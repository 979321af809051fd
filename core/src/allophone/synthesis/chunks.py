"""How an utterance is divided into chunks to be streamed."""

from __future__ import annotations

FIRST_FRAMES = 32
"""Of the first chunk: few, for a low latency."""


def chunk_sizes(frames: int, *, usual: int, first: int = FIRST_FRAMES) -> list[int]:
    """How many frames each chunk has: `first`, then about `usual`, of even sizes.

    What one chunk can hold is not divided: the frames around a chunk cost as much as those in it.
    """
    if frames <= usual:
        return [frames] if frames else []
    count = -(-(frames - first) // usual)
    size, larger = divmod(frames - first, count)
    return [first] + [size + 1] * larger + [size] * (count - larger)
