"""What is typical of the pitch and the energy of a corpus, kept with the weights.

Legend: B batch, L positions (text or frames).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from allophone.errors import UserError

_SMALLEST = 1e-5
"""Values are raised to this before a logarithm, and deviations."""


class Statistics(nn.Module):
    """Mean and spread of physical values (Hz, magnitudes), and the range of the normalised ones.

    log: whether they are those of the values' natural logarithms.
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

    def normalised(self, values: Tensor) -> Tensor:
        """Physical values [B, L] as deviations from the mean, within the range that was seen.

        What lies outside are mostly errors of F0 trackers, an octave away, which would rule the loss.
        """
        deviations = (self._scaled(values) - self.mean) / self.deviation
        return deviations.clamp(self.minimum, self.maximum)

    def multiplied(self, normalised: Tensor, factors: Tensor) -> Tensor:
        """What normalised values [B, L] become where the physical ones are multiplied by `factors`."""
        if self.log:
            return normalised + factors.log() / self.deviation
        return normalised * factors + (factors - 1) * self.mean / self.deviation

    def boundaries(self, bins: int) -> Tensor:
        """What divides the range of normalised values into `bins`: [bins - 1]."""
        steps = torch.linspace(0, 1, bins - 1, device=self.mean.device)
        return self.minimum + (self.maximum - self.minimum) * steps

    @torch.no_grad()
    def take(self, utterances: Iterable[Tensor], *, what: str) -> None:
        """Learn from the values [L] of utterances, each without its outliers.

        Those are further from the middle half of an utterance than one and a half times its width.
        what: what the values are, for the UserError where there are none.
        """
        count, total, squares = 0, 0.0, 0.0
        lowest, highest = torch.inf, -torch.inf
        for values in utterances:
            kept = _without_outliers(self._scaled(values).double())
            if len(kept):
                count += len(kept)
                total += float(kept.sum())
                squares += float(kept.square().sum())
                lowest, highest = min(lowest, float(kept.min())), max(highest, float(kept.max()))
        if count == 0:
            raise UserError(f"No utterance of the training split has any {what}.")
        mean = total / count
        deviation = math.sqrt(max(squares / count - mean**2, _SMALLEST**2))
        self.mean.fill_(mean)
        self.deviation.fill_(deviation)
        self.minimum.fill_((lowest - mean) / deviation)
        self.maximum.fill_((highest - mean) / deviation)

    def _scaled(self, values: Tensor) -> Tensor:
        return values.clamp_min(_SMALLEST).log() if self.log else values


def _without_outliers(values: Tensor) -> Tensor:
    if not len(values):
        return values
    low, high = torch.quantile(values, torch.tensor([0.25, 0.75], dtype=values.dtype))
    reach = 1.5 * (high - low)
    return values[(values >= low - reach) & (values <= high + reach)]
