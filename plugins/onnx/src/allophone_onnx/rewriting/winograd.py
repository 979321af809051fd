"""Minimal filtering: the outputs of a short filter with fewer multiplications than outputs times taps.

M outputs of a filter of K taps are y = A' [(G g) * (B' d)], with filter g [K], signal d [N], N = M + K - 1, and the
product of each of N numbers with one other (Winograd 1980; Lavin and Gray 2016, section 4.1). The matrices are
those of multiplying polynomials by interpolation (Toom and Cook), transposed.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0, -0.5, 2.0)
_FIVE_POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)
"""Where polynomials are evaluated, besides infinity: as many as needed of the first ones, or these five, whose rounding error is
a sixth less. Their powers are exact. Among zero and pairs of opposite multiples of 1/8 up to 3, no better ones were found."""

TILE = 4
"""Outputs that are computed together. With 5 there is hardly less to compute, and the error is twice as large for 3 taps, and three
times for 5."""


@frozen(eq=False)
class Transforms:
    """signal: B' [N, N]; kernel: G [N, K]; output: A' [M, N]."""

    signal: NDArray[np.float64]
    kernel: NDArray[np.float64]
    output: NDArray[np.float64]


def transforms(*, outputs: int, taps: int) -> Transforms:
    """The matrices for M outputs of a filter of K taps; M + K is at most 9."""
    size = outputs + taps - 1
    kernel = _powers(size, taps)
    # Rows of the kernel's matrix are scaled to sums of 1, so that the products are of a similar size.
    scale = np.abs(kernel).sum(axis=1, keepdims=True)
    return Transforms(
        signal=np.linalg.inv(_powers(size, size)).T * scale,
        kernel=kernel / scale,
        output=_powers(size, outputs).T,
    )


def _powers(points: int, terms: int) -> NDArray[np.float64]:
    """[points, terms]: the powers of each point; of infinity, which is the last one, the highest only."""
    chosen = _FIVE_POINTS if points - 1 == len(_FIVE_POINTS) else _POINTS[: points - 1]
    finite = [[point**power for power in range(terms)] for point in chosen]
    return np.array([*finite, [0.0] * (terms - 1) + [1.0]])
