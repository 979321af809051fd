"""Duration predictors (section 2.2.2): the stochastic one, a flow over durations, and the deterministic
one of the ablation.

Both have a `loss` against the durations of the alignment search and `log_durations` for synthesis. Their
input is detached, so no gradient reaches the text encoder, as in the paper.

Legend: B batch, T text, H hidden channels, D predictor channels, S speaker channels.
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
    masked_sum,
    standard_normal_log_density,
)
from allophone_vits.layers import ChannelNorm, masked, same_convolution


@frozen(kw_only=True)
class DequantizedDurations:
    """A sample of u and v from q(u, v | d, text) (section 2.2.2).

    u: [B, 1, T], in (0, 1), subtracted from each integer duration (variational dequantization).
    v: [B, 1, T], the second channel of each pair (variational data augmentation).
    log_density: [B], log q(u, v | d, text), in nats.
    """

    u: Tensor
    v: Tensor
    log_density: Tensor


class DurationPosterior(nn.Module):
    """Posterior q(u, v | d, text) of the stochastic duration predictor (section 2.2.2); training only."""

    def __init__(self, config: DurationConfig) -> None:
        super().__init__()
        self.input = nn.Conv1d(1, config.channels, 1)
        self.convolutions = SeparableConvolutions(
            config.channels, config.kernel_size, config.dropout
        )
        self.output = nn.Conv1d(config.channels, config.channels, 1)
        self.flow = DurationFlow(config.channels, config.kernel_size, config.couplings)

    def forward(
        self, durations: Tensor, noise: Tensor, text: Tensor, mask: Tensor
    ) -> DequantizedDurations:
        """durations [B, 1, T], noise [B, 2, T], text [B, D, T], mask [B, 1, T] -> `DequantizedDurations`."""
        hidden = self.convolutions(self.input(durations), mask)
        hidden = masked(self.output(hidden), mask)
        noise = masked(noise, mask)
        pair, log_determinant = self.flow(noise, text + hidden, mask)
        u_logit, v = pair.chunk(2, dim=1)
        log_determinant = log_determinant + masked_sum(
            functional.logsigmoid(u_logit) + functional.logsigmoid(-u_logit), mask
        )
        return DequantizedDurations(
            u=masked(u_logit.sigmoid(), mask),
            v=v,
            log_density=masked_sum(standard_normal_log_density(noise), mask) - log_determinant,
        )


class StochasticDurationPredictor(nn.Module):
    """Flow-based predictor, which samples a different rhythm for each noise (section 2.2.2)."""

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
        """Negative variational lower bound of log p(d | text), in nats per utterance [B] (equation 7).

        hidden [B, H, T], durations [B, 1, T] frames, noise [B, 2, T], mask [B, 1, T],
        speaker [B, S, 1].
        """
        text = self._text(hidden, mask, speaker)
        durations = durations.float()
        posterior = self.posterior(durations, noise, text, mask)
        log_duration = masked((durations - posterior.u).clamp_min(1e-5).log(), mask)
        pair, log_determinant = self.flow(torch.cat([log_duration, posterior.v], dim=1), text, mask)
        log_determinant = log_determinant - log_duration.sum(dim=(1, 2))
        log_likelihood = masked_sum(standard_normal_log_density(pair), mask) + log_determinant
        loss: Tensor = posterior.log_density - log_likelihood
        return loss

    def log_durations(
        self, hidden: Tensor, noise: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor:
        """hidden [B, H, T], noise [B, 2, T], mask [B, 1, T], speaker [B, S, 1] -> [B, 1, T]."""
        return self.flow.sample(noise, self._text(hidden, mask, speaker), mask)

    def discard_training_parts(self) -> None:
        """Delete the modules that `log_durations` does not use."""
        del self.posterior
        # An identity in its place keeps the indices, and so the weight names, of the other couplings.
        self.flow.couplings[0] = nn.Identity()


class DeterministicDurationPredictor(nn.Module):
    """Two convolutions that regress log durations."""

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
        """Squared error of the log durations, summed over the tokens of each utterance [B].

        Arguments as for the stochastic predictor; `noise` is [B, 0, T] and unused.
        """
        predicted = self.log_durations(hidden, noise, mask, speaker)
        return total_squared_error(predicted, durations, mask)

    def log_durations(
        self, hidden: Tensor, noise: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor:
        """As in the stochastic predictor; `noise` is [B, 0, T] and unused."""
        return self.forward(hidden.detach(), mask, speaker)

    def discard_training_parts(self) -> None:
        """No-op: synthesis uses every module."""


def log_duration_target(durations: Tensor) -> Tensor:
    """Regression target: durations [B, 1, T] in frames -> finite logarithms [B, 1, T], also of 0."""
    return (durations.float() + 1e-6).log()


def total_squared_error(predicted: Tensor, durations: Tensor, mask: Tensor) -> Tensor:
    """Squared error of log durations [B, 1, T] against durations [B, 1, T] in frames, summed: [B]."""
    return masked_sum((predicted.float() - log_duration_target(durations)).square(), mask)


DurationPredictor = StochasticDurationPredictor | DeterministicDurationPredictor


def build_duration_predictor(
    config: DurationConfig, *, text_channels: int, speaker_channels: int = 0
) -> DurationPredictor:
    """Build the predictor of the configured kind."""
    kind: type[DurationPredictor] = (
        StochasticDurationPredictor
        if config.kind == "stochastic"
        else DeterministicDurationPredictor
    )
    return kind(config, text_channels=text_channels, speaker_channels=speaker_channels)
