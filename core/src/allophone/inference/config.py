"""The config of core's own vocoder. Light: attrs alone."""

from __future__ import annotations

from attrs import field, frozen, validators


@frozen(kw_only=True)
class GriffinLimConfig:
    """iterations: how often the phase is made consistent; more is clearer and slower.

    momentum: how far each step overshoots (Perraudin et al. 2013); 0 is the original algorithm.
    """

    iterations: int = field(default=60, validator=validators.gt(0))
    momentum: float = field(default=0.99, validator=[validators.ge(0), validators.lt(1)])
