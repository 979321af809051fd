"""Statistics of pitch and energy in a corpus, stored with the weights.

Legend: B batch, L positions (text or frames).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from allophone.errors import UserError

_EPSILON = 1e-5
"""Lower bound of values before the logarithm, and of standard deviations."""


class Statistics(nn.Module):
    """Mean and standard deviation of physical values (Hz, magnitudes), and range of normalised values.

    log: whether they are computed on natural logarithms.
    """

    mean: Tensor
    deviation: Tensor
    minimum: Tensor
    maximum: Tensor

    def __init__(self, *, log: bool) -> None:
        super().__init__()
        self.log = log
        for name, value in (("mean", 0.0), ("deviation", 1.0), ("minimum", -2.0), ("maximum", 2.0)):
            self.register_buffer(name, torch.tensor(value))

    def normalise(self, values: Tensor) -> Tensor:
        """Normalise physical values [B, L] and clamp them to the range of the training data.

        Values outside are mostly octave errors of F0 trackers, which would dominate the loss.
        """
        deviations = (self._transform(values) - self.mean) / self.deviation
        return deviations.clamp(self.minimum, self.maximum)

    def scale_normalised(self, normalised: Tensor, factors: Tensor) -> Tensor:
        """Normalised values [B, L] after multiplying the physical values by `factors` [B, L]."""
        if self.log:
            return normalised + factors.log() / self.deviation
        return normalised * factors + (factors - 1) * self.mean / self.deviation

    def boundaries(self, bins: int) -> Tensor:
        """Boundaries that split the range of normalised values into `bins`: [bins - 1]."""
        steps = torch.linspace(0, 1, bins - 1, device=self.mean.device)
        return self.minimum + (self.maximum - self.minimum) * steps

    @torch.no_grad()
    def fit(self, utterances: Iterable[Tensor], *, what: str) -> None:
        """Compute the statistics from the values [L] of utterances.

        Drops the outliers of each utterance, values more than 1.5 interquartile ranges outside its
        quartiles. what: name of the values, for the UserError if there are none.
        """
        count, total, squares = 0, 0.0, 0.0
        lowest, highest = torch.inf, -torch.inf
        for values in utterances:
            kept = _without_outliers(self._transform(values).double())
            if len(kept):
                count += len(kept)
                total += float(kept.sum())
                squares += float(kept.square().sum())
                lowest, highest = min(lowest, float(kept.min())), max(highest, float(kept.max()))
        if count == 0:
            raise UserError(f"No utterance of the training split has a value of {what}.")
        mean = total / count
        deviation = math.sqrt(max(squares / count - mean**2, _EPSILON**2))
        self.mean.fill_(mean)
        self.deviation.fill_(deviation)
        self.minimum.fill_((lowest - mean) / deviation)
        self.maximum.fill_((highest - mean) / deviation)

    def _transform(self, values: Tensor) -> Tensor:
        return values.clamp_min(_EPSILON).log() if self.log else values


def _without_outliers(values: Tensor) -> Tensor:
    if not len(values):
        return values
    low, high = torch.quantile(values, torch.tensor([0.25, 0.75], dtype=values.dtype))
    margin = 1.5 * (high - low)
    return values[(values >= low - margin) & (values <= high + margin)]
