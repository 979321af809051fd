"""VITS: a conditional variational autoencoder with adversarial learning (Kim et al. 2021).

Legend: B batch, T text, F frames, N samples, H hidden channels, C latent channels, K frequency bins,
S speaker channels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone.alignment import Alignment, monotonic_alignment
from allophone.audio.melspec import MelSpec
from allophone_vits.config import VitsConfig
from allophone_vits.decoder import Decoder
from allophone_vits.durations import build_duration_predictor
from allophone_vits.flow import Flow
from allophone_vits.gaussian import Gaussian, prior_log_likelihood
from allophone_vits.layers import masked, sequence_mask
from allophone_vits.noise import Stream, normal_noise
from allophone_vits.posterior_encoder import PosteriorEncoder
from allophone_vits.segments import middle_starts, random_starts, slice_segments
from allophone_vits.text_encoder import TextEncoder

TRAINING_ONLY = re.compile(
    r"posterior_encoder\.|duration_predictor\.posterior\.|duration_predictor\.flow\.couplings\.0\."
)
"""The names of weights that speaking does not need; aligning and converting recordings take the
posterior encoder."""


@frozen(kw_only=True)
class VitsOutput:
    """What a training step is made of.

    waveform: [B, N], decoded from one segment of each utterance; segment_starts: [B], in frames.
    posterior: [B, C, F]; prior: [B, C, F], expanded to frames; prior_latent: [B, C, F], the
        posterior's sample after the flow.
    duration_loss: nats (or squared errors, for the deterministic predictor) a token.
    alignment: which token each frame says; frame_mask: [B, 1, F].
    """

    waveform: Tensor
    segment_starts: Tensor
    posterior: Gaussian
    prior: Gaussian
    prior_latent: Tensor
    duration_loss: Tensor
    alignment: Alignment
    frame_mask: Tensor


class Vits(nn.Module):
    """The generator: everything but the discriminators.

    vocabulary_size: rows of the symbols' embedding.
    speakers: how many there are; with one or none there is no speaker embedding, and nothing is
        conditioned on one.
    audio: the spectrogram that the posterior encoder reads. ConfigError where its hop is not the
        decoder's.
    """

    def __init__(
        self, config: VitsConfig, *, vocabulary_size: int, speakers: int, audio: MelSpec
    ) -> None:
        super().__init__()
        config.check_audio(audio)
        self.config = config
        latent = config.latent_channels
        conditioning = config.speaker_channels if speakers > 1 else 0
        self.text_encoder = TextEncoder(
            config.text_encoder, vocabulary_size=vocabulary_size, latent_channels=latent
        )
        self.posterior_encoder = PosteriorEncoder(
            config.posterior_encoder,
            bins=audio.n_bins,
            latent_channels=latent,
            speaker_channels=conditioning,
        )
        self.flow = Flow.from_config(config.flow, channels=latent, speaker_channels=conditioning)
        self.duration_predictor = build_duration_predictor(
            config.duration,
            text_channels=config.text_encoder.hidden_channels,
            speaker_channels=conditioning,
        )
        self.decoder = Decoder(
            config.decoder, latent_channels=latent, speaker_channels=conditioning
        )
        self.speaker_embedding = nn.Embedding(speakers, conditioning) if conditioning else None

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
    ) -> VitsOutput:
        """The training pass of figure 1a.

        tokens [B, T] ids and spectrogram [B, K, F], with lengths [B]; speakers [B] ids, which a
        model of one speaker does not look at. Noise and segments are drawn from PyTorch's global
        generators, unless each row is given a seed: then its noise is its own, and its segment the
        middle one, as validation wants it.
        """
        text_mask = sequence_mask(token_lengths, tokens.size(1))
        frame_mask = sequence_mask(frame_lengths, spectrogram.size(2))
        speaker = self.speaker(speakers)

        text = self.text_encoder(tokens, text_mask)
        posterior = self.posterior_encoder(spectrogram, frame_mask, speaker)
        noise = _noise(seeds, Stream.LATENT, posterior.mean.size(1), frame_lengths, frame_mask)
        latent = masked(posterior.sample(noise), frame_mask)
        prior_latent = self.flow(latent, frame_mask, speaker)

        alignment = align(prior_latent, text.prior, frame_lengths, token_lengths)
        durations = alignment.durations.unsqueeze(1)
        channels = self.duration_predictor.noise_channels
        noise = _noise(seeds, Stream.DURATION, channels, token_lengths, text_mask)
        duration_loss = self.duration_predictor.loss(
            text.hidden, durations, noise, text_mask, speaker
        )

        choose_starts = random_starts if seeds is None else middle_starts
        starts = choose_starts(frame_lengths, segment_frames)
        segments = slice_segments(latent, starts, segment_frames)
        return VitsOutput(
            waveform=self.decoder(segments, speaker=speaker),
            segment_starts=starts,
            posterior=posterior,
            prior=text.prior.expand(alignment.index),
            prior_latent=prior_latent,
            duration_loss=duration_loss.sum() / text_mask.sum(),
            alignment=alignment,
            frame_mask=frame_mask,
        )

    def discard_training_parts(self) -> None:
        """Drop what speaking does not use, in place."""
        self.duration_predictor.discard_training_parts()
        del self.posterior_encoder


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

    prior_latent [B, C, F], prior [B, C, T], lengths [B]. The search runs on the CPU.
    """
    scores = prior_log_likelihood(prior_latent, prior)
    found = monotonic_alignment(scores.cpu(), frame_lengths.cpu(), token_lengths.cpu())
    device = prior_latent.device
    return Alignment(index=found.index.to(device), durations=found.durations.to(device))
