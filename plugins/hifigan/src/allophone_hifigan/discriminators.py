"""The discriminators: of periods, of scales (section 2.3), and of spectra.

Legend: B batch, H hidden channels, N samples, P period, K frequency bins, F frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from allophone_hifigan.config import DiscriminatorsConfig
from allophone_hifigan.generator import SLOPE
from allophone_hifigan.layers import weight_normed
from allophone_hifigan.transforms import ConstantQTransform, ShortTimeFourierTransform


@frozen(kw_only=True)
class Judgement:
    """What one discriminator says of a batch of waveforms.

    score: [B, ...], of places in the waveform: 1 for recorded, 0 for generated.
    features: what each of its layers made of them; the last is the score.
    """

    score: Tensor
    features: tuple[Tensor, ...]

    def halves(self) -> tuple[Judgement, Judgement]:
        """The judgements of the first and of the second half of the batch."""
        pairs = [feature.chunk(2) for feature in self.features]
        first, second = (
            Judgement(score=half[-1], features=half) for half in zip(*pairs, strict=True)
        )
        return first, second


class Judge(nn.Module):
    """Convolutions with leaky rectifiers between them, the last of which gives the score."""

    def __init__(self, layers: Iterable[nn.Module], *, slope: float = SLOPE) -> None:
        super().__init__()
        *hidden, output = layers
        self.layers = nn.ModuleList(hidden)
        self.output = output
        self.slope = slope

    def judge(self, hidden: Tensor) -> Judgement:
        """hidden [B, H, N], [B, H, N / P, P] or [B, H, F, K]."""
        features = []
        for layer in self.layers:
            hidden = functional.leaky_relu(layer(hidden), self.slope)
            features.append(hidden)
        score = self.output(hidden)
        return Judgement(score=score, features=(*features, score))


class PeriodJudge(Judge):
    """Judges samples that lie one period apart."""

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        sizes = (1, *channels)
        strided = len(channels) - 1
        super().__init__(
            [
                *(
                    weight_normed(
                        nn.Conv2d(
                            size,
                            next_size,
                            (5, 1),
                            stride=(3 if layer < strided else 1, 1),
                            padding=(2, 0),
                        )
                    )
                    for layer, (size, next_size) in enumerate(pairwise(sizes))
                ),
                weight_normed(nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0))),
            ]
        )
        self.period = period

    def forward(self, waveform: Tensor) -> Judgement:
        """waveform [B, N]."""
        missing = -waveform.size(1) % self.period
        whole = functional.pad(waveform.unsqueeze(1), (0, missing), mode="reflect")
        return self.judge(torch.unflatten(whole, 2, (-1, self.period)))


class ScaleJudge(Judge):
    """Judges a waveform, or averages of it, by grouped convolutions.

    The one of the waveform itself, with `spectral_norm`, is kept from growing steep by that norm
    instead of weight norm.
    """

    def __init__(self, channels: tuple[int, ...], *, spectral_norm: bool) -> None:
        normed = parametrizations.spectral_norm if spectral_norm else weight_normed
        kernels = (15, 41, 41, 41, 41, 41, 5)
        strides = (1, 2, 2, 4, 4, 1, 1)
        groups = (1, 4, 16, 16, 16, 16, 1)
        super().__init__(
            [
                *(
                    normed(
                        nn.Conv1d(
                            size, next_size, kernel, stride, padding=kernel // 2, groups=group
                        )
                    )
                    for (size, next_size), kernel, stride, group in zip(
                        pairwise((1, *channels)), kernels, strides, groups, strict=True
                    )
                ),
                normed(nn.Conv1d(channels[-1], 1, 3, padding=1)),
            ]
        )

    def forward(self, waveform: Tensor) -> Judgement:
        """waveform [B, N]."""
        return self.judge(waveform.unsqueeze(1))


class SpectralJudge(Judge):
    """Judges a complex spectrum (Defossez et al. 2022, section 3.4; Gu et al. 2023, section 2.2).

    Octaves of a constant-Q spectrum are each filtered by a convolution of their own first.
    """

    def __init__(
        self, transform: ShortTimeFourierTransform | ConstantQTransform, channels: int
    ) -> None:
        wide, square = (3, 9), (3, 3)
        super().__init__(
            [
                _image_convolution(2, channels, wide),
                *(
                    _image_convolution(channels, channels, wide, dilation=dilation, stride=2)
                    for dilation in (1, 2, 4)
                ),
                _image_convolution(channels, channels, square),
                _image_convolution(channels, 1, square),
            ],
            slope=0.2 if isinstance(transform, ShortTimeFourierTransform) else SLOPE,
        )
        self.transform = transform
        octaves = transform.octaves if isinstance(transform, ConstantQTransform) else 0
        self.octaves = nn.ModuleList(_image_convolution(2, 2, wide) for _ in range(octaves))

    def forward(self, waveform: Tensor) -> Judgement:
        """waveform [B, N]."""
        spectrum = self.transform(waveform)
        if self.octaves:
            bands = spectrum.chunk(len(self.octaves), dim=3)
            filtered = [octave(band) for octave, band in zip(self.octaves, bands, strict=True)]
            spectrum = torch.cat(filtered, dim=3)
        return self.judge(spectrum)


class Discriminators(nn.Module):
    """All discriminators that a config asks for: periods, scales, spectra."""

    def __init__(self, config: DiscriminatorsConfig) -> None:
        super().__init__()
        self.periods = nn.ModuleList(
            PeriodJudge(period, config.period_channels) for period in config.periods
        )
        self.scales = nn.ModuleList(
            ScaleJudge(config.scale_channels, spectral_norm=scale == 0)
            for scale in range(config.scales)
        )
        transforms: list[ShortTimeFourierTransform | ConstantQTransform] = [
            *(ShortTimeFourierTransform(size) for size in config.stft_sizes),
            *(ConstantQTransform(each) for each in config.constant_q),
        ]
        self.spectra = nn.ModuleList(
            SpectralJudge(transform, config.spectral_channels) for transform in transforms
        )

    def forward(self, waveform: Tensor) -> tuple[Judgement, ...]:
        """What each of them says of waveforms [B, N]."""
        judgements = [judge(waveform) for judge in (*self.periods, *self.spectra)]
        averaged = waveform
        of_scales = []
        for scale, judge in enumerate(self.scales):
            if scale:
                averaged = functional.avg_pool1d(averaged.unsqueeze(1), 4, 2, padding=2).squeeze(1)
            of_scales.append(judge(averaged))
        return (*judgements, *of_scales)


def _image_convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: tuple[int, int],
    *,
    dilation: int = 1,
    stride: int = 1,
) -> nn.Module:
    """Over [B, H, F, K]: dilated in time, with a stride in frequency."""
    frames, bins = kernel_size
    return weight_normed(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=(1, stride),
            dilation=(dilation, 1),
            padding=(frames // 2 * dilation, bins // 2),
        )
    )
