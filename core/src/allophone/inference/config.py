"""The config class of the vocoder `griffin-lim`. Light: it imports only attrs."""

from __future__ import annotations

from attrs import field, frozen, validators


@frozen(kw_only=True)
class GriffinLimConfig:
    """Griffin-Lim settings.

    iterations: the number of iterations; more are clearer and slower.
    momentum: the acceleration of Perraudin et al. (2013); 0 is the original algorithm.
    """

    iterations: int = field(default=60, validator=validators.gt(0))
    momentum: float = field(default=0.99, validator=[validators.ge(0), validators.lt(1)])
