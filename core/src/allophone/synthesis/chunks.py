"""Splitting an utterance into chunks for streaming."""

from __future__ import annotations

FIRST_FRAMES = 32
"""The length of the first chunk in frames; short, for low latency."""


def chunk_sizes(frames: int, *, usual: int, first: int = FIRST_FRAMES) -> list[int]:
    """Return the length of each chunk in frames: `first` if not 0, then chunks of nearly equal size, at most `usual`.

    An utterance of up to `usual` frames is one chunk: the context frames that each chunk needs cost as much
    as its own.
    """
    if frames <= usual:
        return [frames] if frames else []
    count = -(-(frames - first) // usual)
    size, larger = divmod(frames - first, count)
    return [first] * bool(first) + [size + 1] * larger + [size] * (count - larger)
