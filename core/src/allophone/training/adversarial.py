"""Adversarial training of waveforms: HiFi-GAN's discriminators and least-squares losses (Kong et al. 2020).

A training step, as in section 2.4:

    with rt.autocast():
        generated = rt["generator"](mel)
        outputs = discriminate(rt["discriminator"], recorded, generated.detach())
    rt.update("discriminator", discriminator_loss(*outputs))
    with rt.frozen("discriminator"), rt.autocast():
        of_real, of_generated = discriminate(rt["discriminator"], recorded, generated, detach_real=True)
    rt.update("generator", adversarial_loss(of_generated) + feature_matching_loss(of_real, of_generated))

Losses are computed in float32, because sums over many layers lose small differences in half precision.

Shapes: B batch, N samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

SLOPE = 0.1
"""Negative slope of the leaky ReLUs."""


@frozen(kw_only=True)
class DiscriminatorOutput:
    """The output of one discriminator for a batch of waveforms.

    score: [B, ...], one score per position: 1 for real, 0 for generated.
    features: output of each layer, for feature matching; the last one is the score.
    """

    score: Tensor
    features: tuple[Tensor, ...]

    def halves(self) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
        """Split into the outputs for the first and the second half of the batch."""
        pairs = [feature.chunk(2) for feature in self.features]
        first, second = (
            DiscriminatorOutput(score=half[-1], features=half) for half in zip(*pairs, strict=True)
        )
        return first, second


Outputs = Sequence[DiscriminatorOutput]
"""The outputs of several discriminators, in a fixed order."""


def discriminate(
    discriminator: nn.Module, real: Tensor, generated: Tensor, *, detach_real: bool = False
) -> tuple[Outputs, Outputs]:
    """Return the discriminators' outputs for real and generated waveforms, both [B, N].

    discriminator: maps waveforms [B, N] to `Outputs`.
    detach_real: compute the outputs of real waveforms without gradients, as targets for feature matching.
        Otherwise both inputs are concatenated to one batch, since one large pass is faster than two.
    """
    generated = generated.to(real.dtype)
    if detach_real:
        with torch.no_grad():
            of_real = discriminator(real)
        return of_real, discriminator(generated)
    halves = [output.halves() for output in discriminator(torch.cat([real, generated]))]
    return [first for first, _ in halves], [second for _, second in halves]


def discriminator_loss(real: Outputs, generated: Outputs) -> Tensor:
    """Least-squares loss of the discriminators: real 1, generated 0 (equation 1); summed over them."""
    return _sum(
        (1 - of_real.score.float()).square().mean() + of_generated.score.float().square().mean()
        for of_real, of_generated in zip(real, generated, strict=True)
    )


def adversarial_loss(generated: Outputs) -> Tensor:
    """Least-squares loss of the generator: generated 1 (equation 2); summed over discriminators."""
    return _sum((1 - output.score.float()).square().mean() for output in generated)


def feature_matching_loss(real: Outputs, generated: Outputs) -> Tensor:
    """Mean L1 distance of real and generated features (equation 4), summed over layers and discriminators."""
    return _sum(
        (feature_real.float() - feature_generated.float()).abs().mean()
        for of_real, of_generated in zip(real, generated, strict=True)
        for feature_real, feature_generated in zip(
            of_real.features, of_generated.features, strict=True
        )
    )


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


class ConvolutionalDiscriminator(nn.Module):
    """Convolutions with leaky ReLUs between them; the last one outputs the score."""

    def __init__(self, layers: Iterable[nn.Module], *, slope: float = SLOPE) -> None:
        super().__init__()
        *hidden, output = layers
        self.layers = nn.ModuleList(hidden)
        self.output = output
        self.slope = slope

    def discriminate(self, hidden: Tensor) -> DiscriminatorOutput:
        """Apply the layers. hidden: input of the first convolution, such as [B, 1, N]."""
        features = []
        for layer in self.layers:
            hidden = functional.leaky_relu(layer(hidden), self.slope)
            features.append(hidden)
        score = self.output(hidden)
        return DiscriminatorOutput(score=score, features=(*features, score))


class PeriodDiscriminator(ConvolutionalDiscriminator):
    """HiFi-GAN's period discriminator: convolves over samples one period apart (section 2.3)."""

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        strides = [*[3] * (len(channels) - 1), 1]
        convolutions = [
            nn.Conv2d(size, next_size, (5, 1), stride=(stride, 1), padding=(2, 0))
            for (size, next_size), stride in zip(pairwise((1, *channels)), strides, strict=True)
        ]
        output = nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0))
        super().__init__(parametrizations.weight_norm(layer) for layer in (*convolutions, output))
        self.period = period

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """waveform: [B, N]."""
        missing = -waveform.size(1) % self.period
        padded = functional.pad(waveform.unsqueeze(1), (0, missing), mode="reflect")
        return self.discriminate(torch.unflatten(padded, 2, (-1, self.period)))


class ScaleDiscriminator(ConvolutionalDiscriminator):
    """HiFi-GAN's scale discriminator: grouped convolutions over the waveform, possibly average-pooled
    (section 2.3)."""

    def __init__(
        self,
        channels: Sequence[int],
        *,
        kernel_sizes: Sequence[int],
        strides: Sequence[int],
        groups: Sequence[int],
        norm: Callable[[nn.Module], nn.Module] = parametrizations.weight_norm,
    ) -> None:
        convolutions = [
            nn.Conv1d(size, next_size, kernel, stride, padding=kernel // 2, groups=group)
            for (size, next_size), kernel, stride, group in zip(
                pairwise((1, *channels)), kernel_sizes, strides, groups, strict=True
            )
        ]
        output = nn.Conv1d(channels[-1], 1, 3, padding=1)
        super().__init__(norm(layer) for layer in (*convolutions, output))

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """waveform: [B, N]."""
        return self.discriminate(waveform.unsqueeze(1))
