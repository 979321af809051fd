"""How long each token lasts (section 2.1): a regression that is given noise, the stochastic predictor of
VITS, or both.

All learn from the durations that the alignment found, and tell what they would have said, which a
discriminator may judge. Gradients do not reach the text encoder from here.

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
class Prediction:
    """What learning from one batch gives.

    loss: [B], summed over the tokens of an utterance: nats, or squared errors of log durations.
    log_durations: [B, 1, T], what the predictor says, with gradients.
    """

    loss: Tensor
    log_durations: Tensor


class LearningPredictor(Protocol):
    """What the kinds of predictors have in common, beside the faces of VITS's."""

    noise_channels: int

    def learn(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> Prediction:
        """hidden [B, H, T], durations [B, 1, T] frames, noise [B, Z, T], mask [B, 1, T]."""
        ...

    def log_durations(
        self, hidden: Tensor, noise: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor:
        """hidden [B, H, T], noise [B, Z, T], mask [B, 1, T], speaker [B, S, 1] -> [B, 1, T]."""
        ...

    def discard_training_parts(self) -> None:
        """Drop what `log_durations` does not use."""
        ...


class NoisyDurationPredictor(DeterministicDurationPredictor):
    """VITS's regression with noise added to what it reads of the text.

    The noise begins without weight, so that weights of VITS's regression may be gone on with.
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

    def learn(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> Prediction:
        """See `LearningPredictor`."""
        predicted = self.log_durations(hidden, noise, mask, speaker)
        loss = total_squared_error(predicted, durations, mask)
        return Prediction(loss=loss, log_durations=predicted)

    def log_durations(
        self, hidden: Tensor, noise: Tensor, mask: Tensor | None, speaker: Tensor | None = None
    ) -> Tensor:
        """See `LearningPredictor`."""
        hidden = hidden.detach()
        if self.noise is not None:
            hidden = hidden + self.noise(noise)
        predicted: Tensor = self.forward(hidden, mask, speaker)
        return predicted


class SampledDurationPredictor(StochasticDurationPredictor):
    """VITS's stochastic predictor, which says what it has sampled while it learns."""

    def __init__(
        self, config: Vits2DurationConfig, *, text_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__(
            config.stochastic(), text_channels=text_channels, speaker_channels=speaker_channels
        )

    def learn(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> Prediction:
        """See `LearningPredictor`; the noise serves the bound and the sample both."""
        return Prediction(
            loss=self.loss(hidden, durations, noise, mask, speaker),
            log_durations=self.log_durations(hidden, noise, mask, speaker),
        )


class MixedDurationPredictor(nn.Module):
    """Both, learning side by side; what is said is a mean of theirs, in the logarithm."""

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

    def learn(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> Prediction:
        """See `LearningPredictor`; what is said is the regression's, which has no likelihood to learn from."""
        of_flow, of_regression = torch.split(noise, self._split, dim=1)
        loss = self.stochastic.loss(hidden, durations, of_flow, mask, speaker)
        regressed = self.regression.learn(hidden, durations, of_regression, mask, speaker)
        return Prediction(loss=loss + regressed.loss, log_durations=regressed.log_durations)

    def log_durations(
        self,
        hidden: Tensor,
        noise: Tensor,
        mask: Tensor | None,
        speaker: Tensor | None = None,
        *,
        stochastic_share: float = 0.5,
    ) -> Tensor:
        """See `LearningPredictor`; stochastic_share: of the mean, between 0 and 1."""
        of_flow, of_regression = torch.split(noise, self._split, dim=1)
        sampled = self.stochastic.log_durations(hidden, of_flow, mask, speaker)
        regressed = self.regression.log_durations(hidden, of_regression, mask, speaker)
        return masked(torch.lerp(regressed, sampled, stochastic_share), mask)

    def discard_training_parts(self) -> None:
        """Drop what `log_durations` does not use."""
        self.stochastic.discard_training_parts()


DurationPredictor = NoisyDurationPredictor | SampledDurationPredictor | MixedDurationPredictor


def build_duration_predictor(
    config: Vits2DurationConfig, *, text_channels: int, speaker_channels: int = 0
) -> DurationPredictor:
    """The predictor of the kind that `config` names."""
    kinds: dict[str, type[DurationPredictor]] = {
        "convolutional": NoisyDurationPredictor,
        "stochastic": SampledDurationPredictor,
        "mixed": MixedDurationPredictor,
    }
    return kinds[config.kind](
        config, text_channels=text_channels, speaker_channels=speaker_channels
    )
