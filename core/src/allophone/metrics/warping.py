"""Dynamic time warping (Sakoe & Chiba 1978, symmetric form), which pairs the frames of two utterances.

F, G frames, M values of a frame, P pairs.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray


@frozen(kw_only=True, eq=False)
class Warping:
    """Two sequences of frames, paired in order so that the distance is least.

    distance: the mean over both sequences of the distance of paired frames, which is the root mean square
        difference of their values.
    pairs: the indices of paired frames in the first and the second, int64 [P, 2]; every frame is in a pair.
    """

    distance: float
    pairs: NDArray[np.int64]


def warp(first: NDArray[np.float64], second: NDArray[np.float64]) -> Warping:
    """Pair the frames of [F, M] and [G, M], both with at least one frame. Memory: float64 [F, G] and [F + G, F]."""
    costs = np.stack([np.sqrt(np.square(second - frame).mean(1)) for frame in first])
    rows, columns = costs.shape
    # Sums along the best path to each cell, one antidiagonal after the other, by row.
    sums = np.full((rows + columns + 1, rows + 1), np.inf)
    sums[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):
        row = np.arange(max(0, diagonal - columns + 1), min(diagonal, rows - 1) + 1)
        cost = costs[row, diagonal - row]
        before, last = sums[diagonal], sums[diagonal + 1]
        straight = np.minimum(last[row], last[row + 1]) + cost
        sums[diagonal + 2, row + 1] = np.minimum(straight, before[row] + 2 * cost)
    return Warping(distance=float(sums[-1, rows]) / (rows + columns), pairs=_best_path(sums, costs))


def _best_path(sums: NDArray[np.float64], costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Walk back from the last pair, by the step that led to each; in a tie both sequences advance."""
    row, column = costs.shape
    pairs = []
    while row and column:
        pairs.append((row - 1, column - 1))
        steps = ((row - 1, column - 1), (row - 1, column), (row, column - 1))
        reached = [sums[sum(step), step[0]] for step in steps]
        reached[0] += costs[row - 1, column - 1]
        row, column = steps[int(np.argmin(reached))]
    return np.array(pairs[::-1], np.int64)
