"""The losses of FastSpeech 2 (section 2.2), each a mean over what is real, in float32.

Legend: B batch, T text, F frames, M mel bands, L positions (text or frames).
"""

from __future__ import annotations

from torch import Tensor

from allophone_fastspeech2.masks import masked_mean
from allophone_fastspeech2.variance_adaptor import VariancePrediction


def mel_loss(predicted: Tensor, recorded: Tensor, frame_mask: Tensor) -> Tensor:
    """The mean absolute difference of mels [B, M, F] where frame_mask [B, F] is true."""
    return masked_mean((predicted - recorded).abs().mean(1), frame_mask)


def duration_loss(log_durations: Tensor, durations: Tensor, token_mask: Tensor) -> Tensor:
    """The mean squared error of ln(durations + 1), all [B, T]."""
    target = (durations + 1).float().log()
    return masked_mean((log_durations - target).square(), token_mask)


def variance_loss(prediction: VariancePrediction) -> Tensor:
    """The mean squared error of pitch or energy, normalised [B, L]."""
    difference = prediction.predicted - prediction.recorded
    return masked_mean(difference.square(), prediction.mask)
