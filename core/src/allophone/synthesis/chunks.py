"""How an utterance is divided into chunks to be streamed."""

from __future__ import annotations

FIRST_FRAMES = 32
"""Of the first chunk: few, for a low latency."""


def chunk_sizes(frames: int, *, usual: int) -> list[int]:
    """How many frames each chunk has: few at first, then about `usual`, of even sizes.

    What one chunk can hold is not divided: the frames around a chunk cost as much as those in it.
    """
    if frames <= usual:
        return [frames] if frames else []
    count = -(-(frames - FIRST_FRAMES) // usual)
    size, larger = divmod(frames - FIRST_FRAMES, count)
    return [FIRST_FRAMES] + [size + 1] * larger + [size] * (count - larger)
