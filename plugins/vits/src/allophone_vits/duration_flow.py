"""Flow over durations conditioned on text (section 2.2.2): an affine layer and neural spline couplings.

Legend: B batch, T text, D predictor channels, K bins.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from allophone_vits.layers import ChannelNorm, masked, same_convolution, zero_initialised
from allophone_vits.spline import Spline
from allophone_vocos.activation import gelu

BINS = 10
BOUND = 5.0
SEPARABLE_LAYERS = 3


class SeparableConvolutions(nn.Module):
    """Dilated depthwise-separable convolutions with residual connections (DDSConv)."""

    def __init__(self, channels: int, kernel_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.depthwise = nn.ModuleList(
            same_convolution(
                channels, channels, kernel_size, dilation=kernel_size**layer, groups=channels
            )
            for layer in range(SEPARABLE_LAYERS)
        )
        self.pointwise = nn.ModuleList(
            nn.Conv1d(channels, channels, 1) for _ in range(SEPARABLE_LAYERS)
        )
        self.depthwise_norms = nn.ModuleList(ChannelNorm(channels) for _ in self.depthwise)
        self.pointwise_norms = nn.ModuleList(ChannelNorm(channels) for _ in self.pointwise)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden [B, D, T], mask [B, 1, T] -> [B, D, T]."""
        for depthwise, depthwise_norm, pointwise, pointwise_norm in zip(
            self.depthwise,
            self.depthwise_norms,
            self.pointwise,
            self.pointwise_norms,
            strict=True,
        ):
            change = gelu(depthwise_norm(depthwise(masked(hidden, mask))))
            change = gelu(pointwise_norm(pointwise(change)))
            hidden = hidden + self.dropout(change)
        return masked(hidden, mask)


class SplineCoupling(nn.Module):
    """Transforms the second of two channels by a spline conditioned on the first and on the text."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.input = nn.Conv1d(1, channels, 1)
        self.convolutions = SeparableConvolutions(channels, kernel_size)
        self.output = zero_initialised(nn.Conv1d(channels, 3 * BINS - 1, 1))
        self.size_scale = channels**-0.5

    def _spline(self, first: Tensor, text: Tensor, mask: Tensor | None) -> Spline:
        hidden = self.convolutions(self.input(first) + text, mask)
        parameters = masked(self.output(hidden), mask).transpose(1, 2).unsqueeze(1)
        sizes, slopes = torch.split(parameters, [2 * BINS, BINS - 1], dim=-1)  # [B, 1, T, 3K - 1]
        parameters = torch.cat([sizes * self.size_scale, slopes], dim=-1)
        return Spline.from_parameters(parameters, bins=BINS, bound=BOUND)

    def forward(self, pair: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """pair [B, 2, T], text [B, D, T], mask [B, 1, T] -> [B, 2, T] and log-determinant [B]."""
        first, second = pair.chunk(2, dim=1)
        transformed, log_slope = self._spline(first, text, mask).forward(second.float())
        return masked(torch.cat([first.float(), transformed], dim=1), mask), masked_sum(
            log_slope, mask
        )

    def inverse(self, pair: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        """Invert `forward`: [B, 2, T] -> [B, 2, T]."""
        first, second = pair.chunk(2, dim=1)
        original = self._spline(first, text, mask).inverse(second.float())
        return masked(torch.cat([first.float(), original], dim=1), mask)


class DurationFlow(nn.Module):
    """Flow over pairs (log duration, v) conditioned on text: affine layer, then spline couplings.

    v is the variable of variational data augmentation (section 2.2.2).
    """

    def __init__(self, channels: int, kernel_size: int, couplings: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2, 1))
        self.log_scale = nn.Parameter(torch.zeros(2, 1))
        self.couplings = nn.ModuleList(
            SplineCoupling(channels, kernel_size) for _ in range(couplings)
        )

    def forward(self, pair: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """pair [B, 2, T], text [B, D, T], mask [B, 1, T] -> [B, 2, T] and log-determinant [B]."""
        pair = masked(self.shift + self.log_scale.exp() * pair, mask)
        log_determinant = masked_sum(self.log_scale * mask, mask)
        for coupling in self.couplings:
            pair, change = coupling(pair, text, mask)
            pair = pair.flip(1)
            log_determinant = log_determinant + change
        return pair, log_determinant

    def sample(self, noise: Tensor, text: Tensor, mask: Tensor | None) -> Tensor:
        """Map noise [B, 2, T] to log durations [B, 1, T] with the inverse flow.

        Skips the first coupling, which only changes v.
        """
        pair = noise
        for coupling in list(self.couplings)[:0:-1]:
            pair = cast(SplineCoupling, coupling).inverse(pair.flip(1), text, mask)
        pair = masked((pair.flip(1) - self.shift) * torch.exp(-self.log_scale), mask)
        return pair[:, :1]


def standard_normal_log_density(values: Tensor) -> Tensor:
    """Elementwise log N(values; 0, 1), in float32."""
    return -0.5 * (math.log(2 * math.pi) + values.float().square())


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum values [B, C, T] over the positions where mask [B, 1, T] is true -> [B]."""
    return torch.where(mask, values, 0.0).sum(dim=(1, 2))
