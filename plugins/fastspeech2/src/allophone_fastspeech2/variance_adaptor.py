"""Variance adaptor: predicts and embeds durations, pitch and energy (section 2.3).

Legend: B batch, T text, F frames, L positions (text or frames), H hidden channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone_fastspeech2.config import FastSpeech2Config, PredictorConfig, VarianceConfig
from allophone_fastspeech2.length_regulator import (
    average_by_token,
    expand_to_frames,
    frame_to_token,
)
from allophone_fastspeech2.masks import masked, sequence_mask
from allophone_fastspeech2.pitch import interpolate_f0
from allophone_fastspeech2.predictors import Predictor
from allophone_fastspeech2.statistics import Statistics

MAX_TOKEN_FRAMES = 10_000
"""Maximum duration of a token, to bound the predictions of untrained models."""


@frozen(kw_only=True)
class ProsodyTargets:
    """Durations, pitch and energy of recordings.

    durations: [B, T], frames of each token; frame_lengths: [B].
    f0: [B, F] in Hz, 0 where unvoiced; energy: [B, F], magnitudes.
    """

    durations: Tensor
    frame_lengths: Tensor
    f0: Tensor
    energy: Tensor


@frozen(kw_only=True)
class ProsodyControls:
    """Factors [B, T] on each token's predicted duration, pitch in Hz and energy."""

    length_scale: Tensor
    pitch: Tensor
    energy: Tensor


@frozen(kw_only=True)
class VariancePrediction:
    """Normalised pitch or energy, predicted and of the recording.

    predicted, target: [B, L]; mask: [B, L], positions that have a target.
    """

    predicted: Tensor
    target: Tensor
    mask: Tensor


@frozen(kw_only=True)
class Frames:
    """Input of the decoder: hidden [B, F, H], lengths [B], mask [B, F] or None without padding.

    durations: [B, T], in frames.
    """

    hidden: Tensor
    lengths: Tensor
    mask: Tensor | None
    durations: Tensor


@frozen(kw_only=True)
class Predictions:
    """Predictions with losses: log_durations [B, T], which are ln(durations + 1), pitch and energy."""

    log_durations: Tensor
    pitch: VariancePrediction
    energy: VariancePrediction


class Variance(nn.Module):
    """Predictor, quantization and embedding of pitch or energy."""

    def __init__(self, config: VarianceConfig, predictor: PredictorConfig, channels: int) -> None:
        super().__init__()
        self.level = config.level
        self.statistics = Statistics(log=config.scale == "log")
        self.predictor = Predictor(predictor, channels)
        self.embedding = nn.Embedding(config.bins, channels)

    def embed(self, normalised: Tensor) -> Tensor:
        """Quantize and embed normalised values [B, L] -> [B, L, H]."""
        boundaries = self.statistics.boundaries(self.embedding.num_embeddings)
        embedded: Tensor = self.embedding(torch.bucketize(normalised, boundaries))
        return embedded


SelectValues = Callable[[str, Variance, Tensor], Tensor]
"""Maps the predicted values of "pitch" or "energy" to the values [B, L] to embed."""


class VarianceAdaptor(nn.Module):
    """Adds pitch and energy to hidden states and expands them to frames."""

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        channels = config.hidden_channels
        self.duration_predictor = Predictor(config.predictor, channels)
        self.pitch = Variance(config.pitch, config.predictor, channels)
        self.energy = Variance(config.energy, config.predictor, channels)

    def forward(
        self, hidden: Tensor, token_mask: Tensor, targets: ProsodyTargets
    ) -> tuple[Frames, Predictions]:
        """Teacher-forced pass: hidden [B, T, H], token_mask [B, T] -> frames and predictions."""
        log_durations = self.duration_predictor(hidden, token_mask)
        frame_mask = sequence_mask(targets.frame_lengths, targets.f0.size(1))
        index = frame_to_token(targets.durations, targets.f0.size(1))
        values = {
            "pitch": self._frame_pitch(targets.f0, frame_mask),
            "energy": self.energy.statistics.normalise(targets.energy),
        }
        predictions: dict[str, VariancePrediction] = {}

        def select(name: str, variance: Variance, predicted: Tensor) -> Tensor:
            target, mask = values[name], frame_mask
            if variance.level == "phoneme":
                target = average_by_token(target, targets.durations, index, frame_mask)
                mask = token_mask & (targets.durations > 0)
            predictions[name] = VariancePrediction(predicted=predicted, target=target, mask=mask)
            return target

        hidden = self._add_variances("phoneme", hidden, token_mask, select)
        hidden = masked(expand_to_frames(hidden, index), frame_mask)
        hidden = self._add_variances("frame", hidden, frame_mask, select)
        frames = Frames(
            hidden=hidden,
            lengths=targets.frame_lengths,
            mask=frame_mask,
            durations=targets.durations,
        )
        return frames, Predictions(log_durations=log_durations, **predictions)

    def predict(
        self, hidden: Tensor, token_mask: Tensor | None, controls: ProsodyControls
    ) -> Frames:
        """Inference: hidden [B, T, H], token_mask [B, T] or None without padding -> frames."""
        predicted = self.duration_predictor(hidden, token_mask).exp() - 1
        durations = (predicted * controls.length_scale).round().clamp(1, MAX_TOKEN_FRAMES).long()
        if token_mask is not None:
            durations = durations * token_mask
        lengths = durations.sum(1)
        frames = int(lengths.max())
        index = frame_to_token(durations, frames)
        factors = {"pitch": controls.pitch, "energy": controls.energy}

        def select(name: str, variance: Variance, predicted: Tensor) -> Tensor:
            scale = factors[name]
            if variance.level == "frame":
                scale = scale.gather(1, index)
            return variance.statistics.scale_normalised(predicted, scale)

        frame_mask = None if token_mask is None else sequence_mask(lengths, frames)
        hidden = self._add_variances("phoneme", hidden, token_mask, select)
        hidden = masked(expand_to_frames(hidden, index), frame_mask)
        hidden = self._add_variances("frame", hidden, frame_mask, select)
        return Frames(hidden=hidden, lengths=lengths, mask=frame_mask, durations=durations)

    def variances(self) -> Iterator[tuple[str, Variance]]:
        """Yield pitch and energy, in the order in which they are added."""
        yield "pitch", self.pitch
        yield "energy", self.energy

    def _add_variances(
        self, level: str, hidden: Tensor, mask: Tensor | None, select: SelectValues
    ) -> Tensor:
        """Add the variances of a level: hidden [B, L, H], mask [B, L] -> [B, L, H]."""
        for name, variance in self.variances():
            if variance.level == level:
                values = select(name, variance, variance.predictor(hidden, mask))
                hidden = masked(hidden + variance.embed(values), mask)
        return hidden

    def _frame_pitch(self, f0: Tensor, frame_mask: Tensor) -> Tensor:
        statistics = self.pitch.statistics
        mean_f0 = statistics.mean.exp() if statistics.log else statistics.mean
        return statistics.normalise(interpolate_f0(f0, frame_mask, mean_f0))
