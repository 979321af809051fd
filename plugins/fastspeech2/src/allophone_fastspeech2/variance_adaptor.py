"""Durations, pitch and energy between the text and the frames (section 2.3).

Legend: B batch, T text, F frames, L positions (text or frames), H hidden channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone_fastspeech2.config import FastSpeech2Config, PredictorConfig, VarianceConfig
from allophone_fastspeech2.length_regulator import expanded, frame_tokens, token_means
from allophone_fastspeech2.masks import masked, sequence_mask
from allophone_fastspeech2.pitch import interpolated
from allophone_fastspeech2.predictors import Predictor
from allophone_fastspeech2.statistics import Statistics

MOST_FRAMES = 10_000
"""A token never lasts longer than this, however a model without training predicts."""


@frozen(kw_only=True)
class RecordedProsody:
    """How a recording was spoken.

    durations: frames of each token [B, T]; frame_lengths: [B].
    f0: Hz [B, F], 0 where unvoiced; energy: magnitudes [B, F].
    """

    durations: Tensor
    frame_lengths: Tensor
    f0: Tensor
    energy: Tensor


@frozen(kw_only=True)
class ProsodyControls:
    """Factors [B, T] on what is predicted of each token: durations, pitch in Hz, magnitudes."""

    length_scale: Tensor
    pitch: Tensor
    energy: Tensor


@frozen(kw_only=True)
class VariancePrediction:
    """What was predicted of pitch or energy, normalised, and what it was in the recording.

    predicted, recorded: [B, L]; mask: [B, L], where there is something to compare.
    """

    predicted: Tensor
    recorded: Tensor
    mask: Tensor


@frozen(kw_only=True)
class Frames:
    """What the decoder is given: hidden [B, F, H], lengths [B], mask [B, F] or None without padding.

    durations: [B, T] in frames.
    """

    hidden: Tensor
    lengths: Tensor
    mask: Tensor | None
    durations: Tensor


@frozen(kw_only=True)
class Predictions:
    """What training compares: log_durations [B, T] of one frame more, and pitch and energy."""

    log_durations: Tensor
    pitch: VariancePrediction
    energy: VariancePrediction


class Variance(nn.Module):
    """Pitch or energy: predicted from what it is added to."""

    def __init__(self, config: VarianceConfig, predictor: PredictorConfig, channels: int) -> None:
        super().__init__()
        self.level = config.level
        self.statistics = Statistics(log=config.scale == "log")
        self.predictor = Predictor(predictor, channels)
        self.embedding = nn.Embedding(config.bins, channels)

    def embed(self, normalised: Tensor) -> Tensor:
        """Normalised values [B, L] -> [B, L, H]."""
        boundaries = self.statistics.boundaries(self.embedding.num_embeddings)
        embedded: Tensor = self.embedding(torch.bucketize(normalised, boundaries))
        return embedded


Choose = Callable[[str, Variance, Tensor], Tensor]
"""The values [B, L] to go on with, of "pitch" or "energy" and what was predicted of it."""


class VarianceAdaptor(nn.Module):
    """Adds pitch and energy to hidden states and stretches those to frames."""

    def __init__(self, config: FastSpeech2Config) -> None:
        super().__init__()
        channels = config.hidden_channels
        self.duration_predictor = Predictor(config.predictor, channels)
        self.pitch = Variance(config.pitch, config.predictor, channels)
        self.energy = Variance(config.energy, config.predictor, channels)

    def forward(
        self, hidden: Tensor, token_mask: Tensor, recorded: RecordedProsody
    ) -> tuple[Frames, Predictions]:
        """hidden [B, T, H], token_mask [B, T]: frames as in the recording, and what was predicted."""
        log_durations = self.duration_predictor(hidden, token_mask)
        frame_mask = sequence_mask(recorded.frame_lengths, recorded.f0.size(1))
        index = frame_tokens(recorded.durations, recorded.f0.size(1))
        targets = {
            "pitch": self._frame_pitch(recorded.f0, frame_mask),
            "energy": self.energy.statistics.normalised(recorded.energy),
        }
        predictions: dict[str, VariancePrediction] = {}

        def choose(name: str, variance: Variance, predicted: Tensor) -> Tensor:
            target, mask = targets[name], frame_mask
            if variance.level == "phoneme":
                target = token_means(target, recorded.durations, index, frame_mask)
                mask = token_mask & (recorded.durations > 0)
            predictions[name] = VariancePrediction(predicted=predicted, recorded=target, mask=mask)
            return target

        hidden = self._vary("phoneme", hidden, token_mask, choose)
        hidden = masked(expanded(hidden, index), frame_mask)
        hidden = self._vary("frame", hidden, frame_mask, choose)
        frames = Frames(
            hidden=hidden,
            lengths=recorded.frame_lengths,
            mask=frame_mask,
            durations=recorded.durations,
        )
        return frames, Predictions(log_durations=log_durations, **predictions)

    def predict(
        self, hidden: Tensor, token_mask: Tensor | None, controls: ProsodyControls
    ) -> Frames:
        """hidden [B, T, H], token_mask [B, T] or None without padding: frames as they are predicted."""
        predicted = self.duration_predictor(hidden, token_mask).exp() - 1
        durations = (predicted * controls.length_scale).round().clamp(1, MOST_FRAMES).long()
        if token_mask is not None:
            durations = durations * token_mask
        lengths = durations.sum(1)
        frames = int(lengths.max())
        index = frame_tokens(durations, frames)
        factors = {"pitch": controls.pitch, "energy": controls.energy}

        def choose(name: str, variance: Variance, predicted: Tensor) -> Tensor:
            wanted = factors[name]
            if variance.level == "frame":
                wanted = wanted.gather(1, index)
            return variance.statistics.multiplied(predicted, wanted)

        frame_mask = None if token_mask is None else sequence_mask(lengths, frames)
        hidden = self._vary("phoneme", hidden, token_mask, choose)
        hidden = masked(expanded(hidden, index), frame_mask)
        hidden = self._vary("frame", hidden, frame_mask, choose)
        return Frames(hidden=hidden, lengths=lengths, mask=frame_mask, durations=durations)

    def variances(self) -> Iterator[tuple[str, Variance]]:
        """Pitch and energy, in the order in which they are added."""
        yield "pitch", self.pitch
        yield "energy", self.energy

    def _vary(self, level: str, hidden: Tensor, mask: Tensor | None, choose: Choose) -> Tensor:
        """Add what belongs to this level: hidden [B, L, H], mask [B, L] -> [B, L, H]."""
        for name, variance in self.variances():
            if variance.level == level:
                values = choose(name, variance, variance.predictor(hidden, mask))
                hidden = masked(hidden + variance.embed(values), mask)
        return hidden

    def _frame_pitch(self, f0: Tensor, frame_mask: Tensor) -> Tensor:
        statistics = self.pitch.statistics
        typical = statistics.mean.exp() if statistics.log else statistics.mean
        return statistics.normalised(interpolated(f0, frame_mask, typical))
