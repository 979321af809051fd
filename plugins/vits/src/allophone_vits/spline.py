"""Monotonic rational-quadratic splines with linear tails (Durkan et al. 2019).

There is no data-dependent control flow: inputs outside the interval are clamped and selected with
`where` at the end, so the functions can be exported and compiled.

Legend: ... any shape, K bins.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

MIN_BIN_SIZE = 1e-3
MIN_SLOPE = 1e-3


@frozen(kw_only=True)
class Spline:
    """One spline per element; the identity outside [-bound, bound].

    x_knots, y_knots: [..., K + 1], edges of the bins; slopes: [..., K + 1], derivatives there.
    """

    bound: float
    x_knots: Tensor
    y_knots: Tensor
    slopes: Tensor

    @classmethod
    def from_parameters(cls, parameters: Tensor, *, bins: int, bound: float) -> Spline:
        """Build a spline from unconstrained widths, heights and inner slopes [..., 3K - 1].

        Computed in float32: in half precision, edges of bins could cross.
        """
        widths, heights, slopes = torch.split(parameters.float(), [bins, bins, bins - 1], dim=-1)
        inner = MIN_SLOPE + functional.softplus(slopes)
        return cls(
            bound=bound,
            x_knots=_knots(widths, bound),
            y_knots=_knots(heights, bound),
            slopes=functional.pad(inner, (1, 1), value=1.0),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate the spline and its log derivative at x [...]."""
        inside = x.abs() <= self.bound
        position = x.clamp(-self.bound, self.bound)
        at = self._bin(self.x_knots, position)
        fraction = (position - at.x) / at.width
        between = fraction * (1 - fraction)
        denominator = at.mean_slope + at.curvature * between
        rise = at.mean_slope * fraction.square() + at.slope * between
        y = at.y + at.height * rise / denominator
        numerator = at.mean_slope.square() * (
            at.next_slope * fraction.square()
            + 2 * at.mean_slope * between
            + at.slope * (1 - fraction).square()
        )
        log_slope = numerator.log() - 2 * denominator.log()
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)

    def inverse(self, y: Tensor) -> Tensor:
        """Evaluate the inverse of the spline at y [...]."""
        inside = y.abs() <= self.bound
        position = y.clamp(-self.bound, self.bound)
        at = self._bin(self.y_knots, position)
        above = position - at.y
        # The numerically stable root of the quadratic.
        a = above * at.curvature + at.height * (at.mean_slope - at.slope)
        b = at.height * at.slope - above * at.curvature
        c = -at.mean_slope * above
        discriminant = (b.square() - 4 * a * c).clamp_min(0.0)
        fraction = 2 * c / (-b - discriminant.sqrt())
        return torch.where(inside, at.x + fraction * at.width, y)

    def _bin(self, knots: Tensor, position: Tensor) -> _Bin:
        index = (position.unsqueeze(-1) >= knots[..., 1:-1]).sum(dim=-1, keepdim=True)

        def ends(values: Tensor) -> tuple[Tensor, Tensor]:
            return (
                values.gather(-1, index).squeeze(-1),
                values.gather(-1, index + 1).squeeze(-1),
            )

        x, next_x = ends(self.x_knots)
        y, next_y = ends(self.y_knots)
        slope, next_slope = ends(self.slopes)
        width, height = next_x - x, next_y - y
        mean_slope = height / width
        return _Bin(
            x=x,
            y=y,
            width=width,
            height=height,
            slope=slope,
            next_slope=next_slope,
            mean_slope=mean_slope,
            curvature=slope + next_slope - 2 * mean_slope,
        )


@frozen(kw_only=True)
class _Bin:
    """The bin of each element: lower corner, size and slopes; all [...]."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    slope: Tensor
    next_slope: Tensor
    mean_slope: Tensor
    curvature: Tensor


def _knots(unconstrained: Tensor, bound: float) -> Tensor:
    """Unconstrained sizes of bins [..., K] -> edges [..., K + 1] from -bound to bound."""
    bins = unconstrained.size(-1)
    sizes = MIN_BIN_SIZE + (1 - MIN_BIN_SIZE * bins) * unconstrained.softmax(dim=-1)
    inner = (2 * sizes.cumsum(dim=-1)[..., :-1] - 1) * bound
    # Set the outer edges exactly, so that rounding leaves no gap before the tails.
    return functional.pad(functional.pad(inner, (1, 0), value=-bound), (0, 1), value=bound)
