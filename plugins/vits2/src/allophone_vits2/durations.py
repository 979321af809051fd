"""Duration predictors (section 2.1): a regression with a noise input, the stochastic predictor of VITS, or
both.

In training, each returns a loss against the durations of the alignment search, and predicted log durations
for the duration discriminator. Their input is detached, so no gradient reaches the text encoder.

Legend: B batch, T text, H hidden channels, Z noise channels, S speaker channels.
"""

from __future__ import annotations

from typing import Protocol

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone_vits.durations import (
    DeterministicDurationPredictor,
    StochasticDurationPredictor,
    total_squared_error,
)
from allophone_vits.layers import masked, zero_initialised
from allophone_vits2.config import Vits2DurationConfig


@frozen(kw_only=True)
class PredictorOutput:
    """Output of the training pass.

    loss: [B], summed over the tokens of an utterance, in nats or squared errors of log durations.
    log_durations: [B, 1, T], predicted, with gradients.
    """

    loss: Tensor
    log_durations: Tensor


class TrainablePredictor(Protocol):
    """Interface of the predictors."""

    noise_channels: int

    def forward_train(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> PredictorOutput:
        """Training pass: hidden [B, H, T], durations [B, 1, T] in frames, noise [B, Z, T], mask [B, 1, T]."""
        ...

    def log_durations(
        self, hidden: Tensor, noise: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor:
        """Predict: hidden [B, H, T], noise [B, Z, T], mask [B, 1, T], speaker [B, S, 1] -> [B, 1, T]."""
        ...

    def discard_training_parts(self) -> None:
        """Delete the modules that `log_durations` does not use."""
        ...


class NoisyDurationPredictor(DeterministicDurationPredictor):
    """The deterministic predictor of VITS with projected noise added to its input.

    The projection is initialized to zero, so training can continue from weights of VITS.
    """

    def __init__(
        self, config: Vits2DurationConfig, *, text_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__(
            config.regression(), text_channels=text_channels, speaker_channels=speaker_channels
        )
        self.noise_channels = config.noise_channels
        self.noise = (
            zero_initialised(nn.Conv1d(config.noise_channels, text_channels, 1, bias=False))
            if config.noise_channels
            else None
        )

    def forward_train(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> PredictorOutput:
        """See `TrainablePredictor`."""
        predicted = self.log_durations(hidden, noise, mask, speaker)
        loss = total_squared_error(predicted, durations, mask)
        return PredictorOutput(loss=loss, log_durations=predicted)

    def log_durations(
        self, hidden: Tensor, noise: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor:
        """See `TrainablePredictor`."""
        hidden = hidden.detach()
        if self.noise is not None:
            hidden = hidden + self.noise(noise)
        predicted: Tensor = self.forward(hidden, mask, speaker)
        return predicted


class SampledDurationPredictor(StochasticDurationPredictor):
    """The stochastic predictor of VITS, which also returns a sample in training."""

    def __init__(
        self, config: Vits2DurationConfig, *, text_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__(
            config.stochastic(), text_channels=text_channels, speaker_channels=speaker_channels
        )

    def forward_train(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> PredictorOutput:
        """See `TrainablePredictor`; the bound and the sample use the same noise."""
        return PredictorOutput(
            loss=self.loss(hidden, durations, noise, mask, speaker),
            log_durations=self.log_durations(hidden, noise, mask, speaker),
        )


class MixedDurationPredictor(nn.Module):
    """Both predictors, trained side by side; predicts the weighted mean of their log durations."""

    def __init__(
        self, config: Vits2DurationConfig, *, text_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        self.stochastic = SampledDurationPredictor(
            config, text_channels=text_channels, speaker_channels=speaker_channels
        )
        self.regression = NoisyDurationPredictor(
            config, text_channels=text_channels, speaker_channels=speaker_channels
        )
        self._split = [self.stochastic.noise_channels, self.regression.noise_channels]
        self.noise_channels = sum(self._split)

    def forward_train(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> PredictorOutput:
        """See `TrainablePredictor`; the discriminator is given the regression's log durations only."""
        flow_noise, regression_noise = torch.split(noise, self._split, dim=1)
        loss = self.stochastic.loss(hidden, durations, flow_noise, mask, speaker)
        regressed = self.regression.forward_train(
            hidden, durations, regression_noise, mask, speaker
        )
        return PredictorOutput(loss=loss + regressed.loss, log_durations=regressed.log_durations)

    def log_durations(
        self,
        hidden: Tensor,
        noise: Tensor,
        mask: Tensor | None,
        speaker: Tensor | None = None,
        *,
        stochastic_share: float = 0.5,
    ) -> Tensor:
        """See `TrainablePredictor`; stochastic_share: weight of the stochastic predictor, in [0, 1]."""
        flow_noise, regression_noise = torch.split(noise, self._split, dim=1)
        sampled = self.stochastic.log_durations(hidden, flow_noise, mask, speaker)
        regressed = self.regression.log_durations(hidden, regression_noise, mask, speaker)
        return masked(torch.lerp(regressed, sampled, stochastic_share), mask)

    def discard_training_parts(self) -> None:
        """Delete the modules that `log_durations` does not use."""
        self.stochastic.discard_training_parts()


DurationPredictor = NoisyDurationPredictor | SampledDurationPredictor | MixedDurationPredictor


def build_duration_predictor(
    config: Vits2DurationConfig, *, text_channels: int, speaker_channels: int = 0
) -> DurationPredictor:
    """Build the predictor of the configured kind."""
    kinds: dict[str, type[DurationPredictor]] = {
        "convolutional": NoisyDurationPredictor,
        "stochastic": SampledDurationPredictor,
        "mixed": MixedDurationPredictor,
    }
    return kinds[config.kind](
        config, text_channels=text_channels, speaker_channels=speaker_channels
    )
