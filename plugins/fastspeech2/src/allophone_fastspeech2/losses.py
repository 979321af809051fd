"""Losses of FastSpeech 2 (section 2.2): masked means in float32.

Legend: B batch, T text, F frames, M mel bands, L positions (text or frames).
"""

from __future__ import annotations

from torch import Tensor

from allophone_fastspeech2.masks import masked_mean
from allophone_fastspeech2.variance_adaptor import VariancePrediction


def mel_loss(predicted: Tensor, target: Tensor, frame_mask: Tensor) -> Tensor:
    """Mean absolute error of mels [B, M, F]; frame_mask [B, F]."""
    return masked_mean((predicted - target).abs().mean(1), frame_mask)


def duration_loss(log_durations: Tensor, durations: Tensor, token_mask: Tensor) -> Tensor:
    """Mean squared error of log_durations [B, T] against ln(durations + 1); token_mask [B, T]."""
    target = (durations + 1).float().log()
    return masked_mean((log_durations - target).square(), token_mask)


def variance_loss(prediction: VariancePrediction) -> Tensor:
    """Mean squared error of normalised pitch or energy [B, L]."""
    return masked_mean((prediction.predicted - prediction.target).square(), prediction.mask)
