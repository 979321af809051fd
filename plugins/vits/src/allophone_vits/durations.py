"""Predicting how many frames each token lasts (section 2.2.2): the stochastic predictor, a flow over
durations, and the deterministic one of the ablation.

Both have the same face: `loss` against durations that the alignment found, and `log_durations` to
speak with. Gradients do not reach the text encoder from here, as in the paper.

Legend: B batch, T text, H hidden channels, D channels of the predictor, S speaker channels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from allophone_vits.config import DurationConfig
from allophone_vits.duration_flow import (
    DurationFlow,
    SeparableConvolutions,
    standard_normal_log_density,
    total_inside,
)
from allophone_vits.layers import ChannelNorm, masked, same_convolution


@frozen(kw_only=True)
class Dequantised:
    """What makes whole durations continuous, and pairs.

    fraction: [B, 1, T], taken off each duration, between 0 and 1.
    auxiliary: [B, 1, T], the second channel of each pair.
    log_density: [B], of both under the posterior, in nats.
    """

    fraction: Tensor
    auxiliary: Tensor
    log_density: Tensor


class DurationPosterior(nn.Module):
    """Dequantises durations and adds the auxiliary channel, variationally (section 2.2.2).

    Only training needs it.
    """

    def __init__(self, config: DurationConfig) -> None:
        super().__init__()
        self.input = nn.Conv1d(1, config.channels, 1)
        self.convolutions = SeparableConvolutions(
            config.channels, config.kernel_size, config.dropout
        )
        self.output = nn.Conv1d(config.channels, config.channels, 1)
        self.flow = DurationFlow(config.channels, config.kernel_size, config.couplings)

    def forward(self, durations: Tensor, noise: Tensor, text: Tensor, mask: Tensor) -> Dequantised:
        """durations [B, 1, T], noise [B, 2, T], text [B, D, T], mask [B, 1, T] -> `Dequantised`."""
        hidden = self.convolutions(self.input(durations), mask)
        hidden = masked(self.output(hidden), mask)
        noise = masked(noise, mask)
        pair, log_determinant = self.flow(noise, text + hidden, mask)
        logit, auxiliary = pair.chunk(2, dim=1)
        log_determinant = log_determinant + total_inside(
            functional.logsigmoid(logit) + functional.logsigmoid(-logit), mask
        )
        return Dequantised(
            fraction=masked(logit.sigmoid(), mask),
            auxiliary=auxiliary,
            log_density=total_inside(standard_normal_log_density(noise), mask) - log_determinant,
        )


class StochasticDurationPredictor(nn.Module):
    """A flow-based predictor: the same text, said twice, has two rhythms."""

    noise_channels = 2

    def __init__(
        self, config: DurationConfig, *, text_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        channels = config.channels
        self.text_input = nn.Conv1d(text_channels, channels, 1)
        self.text_convolutions = SeparableConvolutions(channels, config.kernel_size, config.dropout)
        self.text_output = nn.Conv1d(channels, channels, 1)
        self.speaker = nn.Conv1d(speaker_channels, channels, 1) if speaker_channels else None
        self.flow = DurationFlow(channels, config.kernel_size, config.couplings)
        self.posterior = DurationPosterior(config)

    def _text(self, hidden: Tensor, mask: Tensor | None, speaker: Tensor | None) -> Tensor:
        text = self.text_input(hidden.detach())
        if self.speaker is not None and speaker is not None:
            text = text + self.speaker(speaker.detach())
        return masked(self.text_output(self.text_convolutions(text, mask)), mask)

    def loss(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> Tensor:
        """The negative variational bound of the durations' log-likelihood, nats an utterance [B].

        hidden [B, H, T], durations [B, 1, T] frames, noise [B, 2, T], mask [B, 1, T],
        speaker [B, S, 1].
        """
        text = self._text(hidden, mask, speaker)
        durations = durations.float()
        extra = self.posterior(durations, noise, text, mask)
        log_duration = masked((durations - extra.fraction).clamp_min(1e-5).log(), mask)
        pair, log_determinant = self.flow(
            torch.cat([log_duration, extra.auxiliary], dim=1), text, mask
        )
        log_determinant = log_determinant - log_duration.sum(dim=(1, 2))
        log_likelihood = total_inside(standard_normal_log_density(pair), mask) + log_determinant
        loss: Tensor = extra.log_density - log_likelihood
        return loss

    def log_durations(
        self, hidden: Tensor, noise: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor:
        """hidden [B, H, T], noise [B, 2, T], mask [B, 1, T], speaker [B, S, 1] -> [B, 1, T]."""
        return self.flow.sample(noise, self._text(hidden, mask, speaker), mask)

    def discard_training_parts(self) -> None:
        """Drop what `log_durations` does not use."""
        del self.posterior
        # An empty module keeps the other couplings' names.
        self.flow.couplings[0] = nn.Identity()


class DeterministicDurationPredictor(nn.Module):
    """Two convolutions that regress the logarithm of each duration."""

    noise_channels = 0

    def __init__(
        self, config: DurationConfig, *, text_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        sizes = (text_channels, config.channels, config.channels)
        self.convolutions = nn.ModuleList(
            same_convolution(size, next_size, config.kernel_size)
            for size, next_size in pairwise(sizes)
        )
        self.norms = nn.ModuleList(ChannelNorm(config.channels) for _ in self.convolutions)
        self.output = nn.Conv1d(config.channels, 1, 1)
        self.speaker = nn.Conv1d(speaker_channels, text_channels, 1) if speaker_channels else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, mask: Tensor | None, speaker: Tensor | None = None) -> Tensor:
        """hidden [B, H, T], mask [B, 1, T], speaker [B, S, 1] -> log durations [B, 1, T]."""
        if self.speaker is not None and speaker is not None:
            hidden = hidden + self.speaker(speaker.detach())
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = self.dropout(norm(functional.relu(convolution(masked(hidden, mask)))))
        return masked(self.output(masked(hidden, mask)), mask)

    def loss(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> Tensor:
        """The squared error of the log durations, summed over the tokens of each utterance [B].

        As the stochastic predictor's; `noise` is [B, 0, T], and not used.
        """
        predicted = self.log_durations(hidden, noise, mask, speaker)
        return total_squared_error(predicted, durations, mask)

    def log_durations(
        self, hidden: Tensor, noise: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor:
        """As the stochastic predictor's; `noise` is [B, 0, T], and not used."""
        return self.forward(hidden.detach(), mask, speaker)

    def discard_training_parts(self) -> None:
        """Nothing here is for training alone."""


def log_of_durations(durations: Tensor) -> Tensor:
    """What a regression of durations is after: frames [B, 1, T] -> [B, 1, T]; 0 frames are finite."""
    return (durations.float() + 1e-6).log()


def total_squared_error(predicted: Tensor, durations: Tensor, mask: Tensor) -> Tensor:
    """Predicted log durations [B, 1, T] against durations [B, 1, T], summed over tokens: [B]."""
    return total_inside((predicted.float() - log_of_durations(durations)).square(), mask)


DurationPredictor = StochasticDurationPredictor | DeterministicDurationPredictor


def build_duration_predictor(
    config: DurationConfig, *, text_channels: int, speaker_channels: int = 0
) -> DurationPredictor:
    """The predictor of the kind that `config` names."""
    kind: type[DurationPredictor] = (
        StochasticDurationPredictor
        if config.kind == "stochastic"
        else DeterministicDurationPredictor
    )
    return kind(config, text_channels=text_channels, speaker_channels=speaker_channels)
