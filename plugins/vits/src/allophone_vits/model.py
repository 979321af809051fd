"""VITS: a conditional variational autoencoder with adversarial learning (Kim et al. 2021).

Legend: B batch, T text, F frames, N samples, H hidden channels, C latent channels, K frequency bins,
S speaker channels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Protocol, cast

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone.alignment import Alignment, monotonic_alignment
from allophone.audio.melspec import MelSpec
from allophone_vits.config import VitsConfig, VitsControls
from allophone_vits.decoder import Decoder
from allophone_vits.durations import DurationPredictor, build_duration_predictor
from allophone_vits.flow import Flow
from allophone_vits.gaussian import Gaussian, prior_log_likelihood
from allophone_vits.layers import masked, sequence_mask
from allophone_vits.noise import Stream, normal_noise
from allophone_vits.posterior_encoder import (
    LinearSpectrogram,
    PosteriorEncoder,
    Spectrogram,
)
from allophone_vits.segments import middle_starts, random_starts, slice_segments
from allophone_vits.text_encoder import EncodedText, TextEncoder

TRAINING_ONLY = re.compile(
    r"posterior_encoder\.|duration_predictor\.posterior\.|duration_predictor\.flow\.couplings\.0\."
)
"""The names of weights that speaking does not need; aligning and converting recordings take the
posterior encoder."""


class AlignmentSearch(Protocol):
    """Finds which token each frame says; `align` is VITS's."""

    def __call__(
        self, prior_latent: Tensor, prior: Gaussian, frame_lengths: Tensor, token_lengths: Tensor
    ) -> Alignment: ...


@frozen(kw_only=True)
class LearnedDurations:
    """loss: nats (or squared errors, for a regression) a token."""

    loss: Tensor


@frozen(kw_only=True)
class VitsOutput:
    """What a training step is made of.

    waveform: [B, N], decoded from one segment of each utterance; segment_starts: [B], in frames.
    posterior: [B, C, F]; prior: [B, C, F], expanded to frames; prior_latent: [B, C, F], the
        posterior's sample after the flow.
    durations: what is learned from those that the alignment found.
    alignment: which token each frame says; frame_mask: [B, 1, F].
    """

    waveform: Tensor
    segment_starts: Tensor
    posterior: Gaussian
    prior: Gaussian
    prior_latent: Tensor
    durations: LearnedDurations
    alignment: Alignment
    frame_mask: Tensor

    @property
    def duration_loss(self) -> Tensor:
        """Of the predictor, nats (or squared errors) a token."""
        return self.durations.loss


class Generator(nn.Module):
    """Everything but the discriminators: the parts of VITS, and how they work together.

    Models that build on VITS give it other parts of the same faces, and override what they do otherwise
    of `encode_text`, `learn_durations` and `predict_durations`.

    spectrogram: what the posterior encoder is shown.
    speaker_embedding: None for a model of one speaker, in which nothing is conditioned on one.
    """

    controls: ClassVar[type[VitsControls]] = VitsControls
    """What may be set when it speaks."""
    training_only: ClassVar[re.Pattern[str]] = TRAINING_ONLY
    """The names of weights that `discard_training_parts` drops."""

    def __init__(
        self,
        *,
        text_encoder: TextEncoder,
        posterior_encoder: PosteriorEncoder,
        flow: Flow,
        duration_predictor: nn.Module,
        decoder: Decoder,
        speaker_embedding: nn.Embedding | None,
        spectrogram: Spectrogram,
    ) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.posterior_encoder = posterior_encoder
        self.flow = flow
        self.duration_predictor = cast(DurationPredictor, duration_predictor)
        self.decoder = decoder
        self.speaker_embedding = speaker_embedding
        self.spectrogram = spectrogram

    def speaker(self, speakers: Tensor) -> Tensor | None:
        """Speaker ids [B] -> [B, S, 1], or None for a model of one speaker."""
        if self.speaker_embedding is None:
            return None
        embedded: Tensor = self.speaker_embedding(speakers).unsqueeze(2)
        return embedded

    def forward(
        self,
        *,
        tokens: Tensor,
        token_lengths: Tensor,
        spectrogram: Tensor,
        frame_lengths: Tensor,
        speakers: Tensor,
        segment_frames: int,
        seeds: Sequence[int] | None = None,
        search: AlignmentSearch | None = None,
    ) -> VitsOutput:
        """The training pass of figure 1a.

        tokens [B, T] ids and spectrogram [B, K, F], with lengths [B]; speakers [B] ids, which a
        model of one speaker does not look at. Noise and segments are drawn from PyTorch's global
        generators, unless each row is given a seed: then its noise is its own, and its segment the
        middle one, as validation wants it. search: how frames find their tokens; `align` if None.
        """
        text_mask = sequence_mask(token_lengths, tokens.size(1))
        frame_mask = sequence_mask(frame_lengths, spectrogram.size(2))
        speaker = self.speaker(speakers)

        text = self.encode_text(tokens, text_mask, speaker)
        posterior = self.posterior_encoder(spectrogram, frame_mask, speaker)
        noise = _noise(seeds, Stream.LATENT, posterior.mean.size(1), frame_lengths, frame_mask)
        latent = masked(posterior.sample(noise), frame_mask)
        prior_latent = self.flow(latent, frame_mask, speaker)

        search = search or align
        alignment = search(prior_latent, text.prior, frame_lengths, token_lengths)
        channels = self.duration_predictor.noise_channels
        noise = _noise(seeds, Stream.DURATION, channels, token_lengths, text_mask)
        durations = alignment.durations.unsqueeze(1)
        learned = self.learn_durations(text.hidden, durations, noise, text_mask, speaker)

        choose_starts = random_starts if seeds is None else middle_starts
        starts = choose_starts(frame_lengths, segment_frames)
        segments = slice_segments(latent, starts, segment_frames)
        return VitsOutput(
            waveform=self.decoder(segments, speaker=speaker),
            segment_starts=starts,
            posterior=posterior,
            prior=text.prior.expand(alignment.index),
            prior_latent=prior_latent,
            durations=learned,
            alignment=alignment,
            frame_mask=frame_mask,
        )

    def encode_text(
        self, tokens: Tensor, mask: Tensor | None, speaker: Tensor | None
    ) -> EncodedText:
        """tokens [B, T] ids, mask [B, 1, T], speaker [B, S, 1], at which VITS's encoder does not look."""
        encoded: EncodedText = self.text_encoder(tokens, mask)
        return encoded

    def learn_durations(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None,
    ) -> LearnedDurations:
        """hidden [B, H, T], durations [B, 1, T] frames, noise [B, noise_channels, T], mask [B, 1, T]."""
        loss = self.duration_predictor.loss(hidden, durations, noise, mask, speaker)
        return LearnedDurations(loss=loss.sum() / mask.sum())

    def predict_durations(
        self,
        hidden: Tensor,
        noise: Tensor,
        mask: Tensor | None,
        speaker: Tensor | None,
        controls: VitsControls,
    ) -> Tensor:
        """Log durations [B, 1, T] to speak with; hidden [B, H, T], noise [B, noise_channels, T]."""
        noise = noise * controls.noise_scale_duration
        return self.duration_predictor.log_durations(hidden, noise, mask, speaker)

    def discard_training_parts(self) -> None:
        """Drop what speaking does not use, in place."""
        self.duration_predictor.discard_training_parts()
        del self.posterior_encoder


class Vits(Generator):
    """The generator as published.

    vocabulary_size: rows of the symbols' embedding.
    speakers: how many there are; with one or none there is no speaker embedding, and nothing is
        conditioned on one.
    audio: the spectrogram that the posterior encoder reads. ConfigError where its hop is not the
        decoder's.
    """

    def __init__(
        self, config: VitsConfig, *, vocabulary_size: int, speakers: int, audio: MelSpec
    ) -> None:
        config.decoder.check_audio(audio)
        latent = config.latent_channels
        conditioning = config.speaker_channels if speakers > 1 else 0
        spectrogram = LinearSpectrogram()
        super().__init__(
            text_encoder=TextEncoder(
                config.text_encoder, vocabulary_size=vocabulary_size, latent_channels=latent
            ),
            posterior_encoder=PosteriorEncoder(
                config.posterior_encoder,
                bins=spectrogram.bins(audio),
                latent_channels=latent,
                speaker_channels=conditioning,
            ),
            flow=Flow.from_config(config.flow, channels=latent, speaker_channels=conditioning),
            duration_predictor=build_duration_predictor(
                config.duration,
                text_channels=config.text_encoder.hidden_channels,
                speaker_channels=conditioning,
            ),
            decoder=Decoder(config.decoder, latent_channels=latent, speaker_channels=conditioning),
            speaker_embedding=nn.Embedding(speakers, conditioning) if conditioning else None,
            spectrogram=spectrogram,
        )


def _noise(
    seeds: Sequence[int] | None, stream: Stream, channels: int, lengths: Tensor, mask: Tensor
) -> Tensor:
    """Standard normal noise as wide as the mask: lengths [B], mask [B, 1, F] -> [B, channels, F]."""
    if seeds is None:
        return torch.randn(len(mask), channels, mask.size(2), device=mask.device)
    return normal_noise(
        seeds, stream, channels=channels, lengths=lengths.tolist(), size=mask.size(2)
    ).to(mask.device)


@torch.no_grad()
def align(
    prior_latent: Tensor, prior: Gaussian, frame_lengths: Tensor, token_lengths: Tensor
) -> Alignment:
    """The most likely monotonic alignment of frames with tokens (section 2.2.1).

    prior_latent [B, C, F], prior [B, C, T], lengths [B].
    """
    return best_alignment(prior_log_likelihood(prior_latent, prior), frame_lengths, token_lengths)


def best_alignment(scores: Tensor, frame_lengths: Tensor, token_lengths: Tensor) -> Alignment:
    """The monotonic alignment of the greatest score: scores [B, F, T], lengths [B].

    The search runs on the CPU.
    """
    found = monotonic_alignment(scores.cpu(), frame_lengths.cpu(), token_lengths.cpu())
    device = scores.device
    return Alignment(index=found.index.to(device), durations=found.durations.to(device))
