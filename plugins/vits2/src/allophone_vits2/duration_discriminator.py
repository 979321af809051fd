"""Time-step-wise duration discriminator (section 2.1).

"Real" durations are those of the alignment search.

Legend: B batch, T text, H hidden channels of the text encoder, D discriminator channels, S speaker
channels.
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from allophone_vits.layers import ChannelNorm, masked, same_convolution
from allophone_vits2.config import DurationDiscriminatorConfig


@frozen(kw_only=True)
class DurationDiscriminatorOutput:
    """Scores of real and predicted durations, [B, 1, T], whose target is 1 if real; mask: [B, 1, T]."""

    real: Tensor
    predicted: Tensor
    mask: Tensor


class Layer(nn.Module):
    """A convolution, followed by ReLU and layer norm if `normed`."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, normed: bool
    ) -> None:
        super().__init__()
        self.convolution = same_convolution(in_channels, out_channels, kernel_size)
        self.norm = ChannelNorm(out_channels) if normed else None

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden [B, D, T], mask [B, 1, T] -> [B, D, T]."""
        hidden = self.convolution(masked(hidden, mask))
        return hidden if self.norm is None else self.norm(functional.relu(hidden))


class DurationDiscriminator(nn.Module):
    """Scores log durations token by token, conditioned on the text.

    Gradients flow to the durations, but not to the text encoder or the speaker embedding.
    """

    def __init__(
        self, config: DurationDiscriminatorConfig, *, text_channels: int, speaker_channels: int = 0
    ) -> None:
        super().__init__()
        channels, normed = config.channels, config.kind == "normed"
        self.speaker = (
            nn.Conv1d(speaker_channels, text_channels, 1)
            if config.speaker and speaker_channels
            else None
        )
        self.text = nn.ModuleList(
            Layer(size, channels, config.kernel_size, normed=normed)
            for size in (text_channels, channels)
        )
        self.duration = nn.Conv1d(1, channels, 1)
        self.joint = nn.ModuleList(
            Layer(size, channels, config.kernel_size, normed=normed)
            for size in (2 * channels, channels)
        )
        self.output = nn.Linear(channels, 1)
        self.bounded = not normed

    def forward(
        self,
        hidden: Tensor,
        real: Tensor,
        predicted: Tensor,
        mask: Tensor,
        speaker: Tensor | None = None,
    ) -> DurationDiscriminatorOutput:
        """hidden [B, H, T], log durations real and predicted [B, 1, T], mask [B, 1, T], speaker [B, S, 1]."""
        text = hidden.detach()
        if self.speaker is not None and speaker is not None:
            text = text + self.speaker(speaker.detach())
        for layer in self.text:
            text = layer(text, mask)
        # Real and predicted durations share one pass as a batch of twice the size.
        durations = self.duration(torch.cat([real, predicted.to(real.dtype)]))
        both = torch.cat([mask, mask])
        joint = torch.cat([torch.cat([text, text]), durations], dim=1)
        for layer in self.joint:
            joint = layer(joint, both)
        score = self.output(joint.transpose(1, 2)).transpose(1, 2)
        if self.bounded:
            score = score.sigmoid()
        score_real, score_predicted = score.chunk(2)
        return DurationDiscriminatorOutput(real=score_real, predicted=score_predicted, mask=mask)


def duration_discriminator_loss(output: DurationDiscriminatorOutput) -> Tensor:
    """Least-squares loss of the discriminator: real scores to 1, predicted to 0; token mean, float32."""
    return _mean((1 - output.real.float()).square() + output.predicted.float().square(), output)


def duration_adversarial_loss(output: DurationDiscriminatorOutput) -> Tensor:
    """Least-squares loss of the duration predictor: predicted scores to 1; token mean, float32."""
    return _mean((1 - output.predicted.float()).square(), output)


def _mean(errors: Tensor, output: DurationDiscriminatorOutput) -> Tensor:
    return torch.where(output.mask, errors, 0.0).sum() / output.mask.sum()
