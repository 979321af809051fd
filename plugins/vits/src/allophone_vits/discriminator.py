"""The discriminators: one of the waveform itself and one for each period (section 2.5.3).

Legend: B batch, H hidden channels, N samples, P period.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from allophone_vits.config import DiscriminatorConfig
from allophone_vits.decoder import SLOPE
from allophone_vits.layers import same_convolution, weight_normed


@frozen(kw_only=True)
class Judgement:
    """What one discriminator says of a batch of waveforms.

    score: [B, M] for M places in the waveform; 1 for real, 0 for generated.
    features: what its layers saw, for feature matching; the last is the score before flattening.
    """

    score: Tensor
    features: tuple[Tensor, ...]

    def halves(self) -> tuple[Judgement, Judgement]:
        """The judgements of the first and the second half of the batch."""
        first, second = self.score.chunk(2)
        pairs = [feature.chunk(2) for feature in self.features]
        return (
            Judgement(score=first, features=tuple(pair[0] for pair in pairs)),
            Judgement(score=second, features=tuple(pair[1] for pair in pairs)),
        )


@frozen(kw_only=True)
class Verdict:
    """What all discriminators say of real and of generated waveforms, in the same order."""

    real: tuple[Judgement, ...]
    generated: tuple[Judgement, ...]


class ConvolutionalJudge(nn.Module):
    """Convolutions with leaky rectifiers, the last of which gives the scores."""

    def __init__(self, layers: Iterable[nn.Module], output: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(weight_normed(layer) for layer in layers)
        self.output = weight_normed(output)

    def judge(self, hidden: Tensor) -> Judgement:
        """hidden [B, 1, N] or [B, 1, N / P, P]."""
        features = []
        for layer in self.layers:
            hidden = functional.leaky_relu(layer(hidden), SLOPE)
            features.append(hidden)
        score = self.output(hidden)
        return Judgement(score=score.flatten(1), features=(*features, score))


class ScaleDiscriminator(ConvolutionalJudge):
    """Judges the waveform as it is, by grouped convolutions with strides."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        first, *strided, last = channels
        sizes = [first, *strided]
        super().__init__(
            layers=(
                same_convolution(1, first, 15),
                *(
                    # A group has four input channels, whatever the size.
                    nn.Conv1d(size, next_size, 41, stride=4, padding=20, groups=size // 4)
                    for size, next_size in pairwise(sizes)
                ),
                same_convolution(sizes[-1], last, 5),
            ),
            output=same_convolution(last, 1, 3),
        )

    def forward(self, waveform: Tensor) -> Judgement:
        """waveform [B, N] -> `Judgement`."""
        return self.judge(waveform.unsqueeze(1))


class PeriodDiscriminator(ConvolutionalJudge):
    """Judges samples that lie one period apart."""

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        sizes = (1, *channels)
        super().__init__(
            layers=(
                nn.Conv2d(
                    size,
                    next_size,
                    (5, 1),
                    stride=(3 if layer < len(channels) - 1 else 1, 1),
                    padding=(2, 0),
                )
                for layer, (size, next_size) in enumerate(pairwise(sizes))
            ),
            output=nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)),
        )
        self.period = period

    def forward(self, waveform: Tensor) -> Judgement:
        """waveform [B, N] -> `Judgement`."""
        missing = -waveform.size(1) % self.period
        whole = functional.pad(waveform.unsqueeze(1), (0, missing), mode="reflect")
        return self.judge(whole.reshape(*whole.shape[:2], -1, self.period))


class Discriminator(nn.Module):
    """All discriminators: the scale's first, then the periods' in order."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.judges = nn.ModuleList(
            [
                ScaleDiscriminator(config.scale_channels),
                *(PeriodDiscriminator(period, config.period_channels) for period in config.periods),
            ]
        )

    def forward(self, real: Tensor, generated: Tensor, *, real_is_target: bool = False) -> Verdict:
        """real [B, N], generated [B, N] -> `Verdict`.

        real_is_target: what is said of the real ones is what the generated shall match, so no gradients go
            through it. Else both go through in one batch: one pass of larger convolutions instead of two.
        """
        generated = generated.to(real.dtype)
        if real_is_target:
            with torch.no_grad():
                of_real = tuple(judge(real) for judge in self.judges)
            return Verdict(real=of_real, generated=tuple(judge(generated) for judge in self.judges))
        both = torch.cat([real, generated])
        halves = [judge(both).halves() for judge in self.judges]
        return Verdict(
            real=tuple(first for first, _ in halves),
            generated=tuple(second for _, second in halves),
        )
