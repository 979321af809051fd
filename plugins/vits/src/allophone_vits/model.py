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
from allophone_hifigan.istft import IstftGenerator
from allophone_vits.config import VitsConfig, VitsControls
from allophone_vits.decoder import Decoder, build_decoder
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
"""Names of weights that synthesis does not use. Alignment and voice conversion need the posterior encoder."""


class AlignmentSearch(Protocol):
    """Aligns frames with tokens; `align` is the search of VITS."""

    def __call__(
        self, z_p: Tensor, prior: Gaussian, frame_lengths: Tensor, token_lengths: Tensor
    ) -> Alignment: ...


@frozen(kw_only=True)
class DurationOutput:
    """loss: in nats per token, or squared error per token for a regression."""

    loss: Tensor


@frozen(kw_only=True)
class VitsOutput:
    """Output of the training pass.

    waveform: [B, N], decoded from one segment per utterance; segment_starts: [B], in frames.
    bands: [B, D, N / D], its bands, of decoders with D bands of a pseudo-QMF bank; None of others.
    posterior: q(z | x), [B, C, F]; prior: [B, C, F], expanded to frames.
    z_p: [B, C, F], f(z), the posterior's sample after the flow.
    durations: output of the duration predictor.
    alignment: of frames with tokens; frame_mask: [B, 1, F].
    """

    waveform: Tensor
    bands: Tensor | None
    segment_starts: Tensor
    posterior: Gaussian
    prior: Gaussian
    z_p: Tensor
    durations: DurationOutput
    alignment: Alignment
    frame_mask: Tensor

    @property
    def duration_loss(self) -> Tensor:
        """Duration loss, in nats per token, or squared error per token for a regression."""
        return self.durations.loss


class Generator(nn.Module):
    """The VITS model without its discriminators, assembled from its parts.

    A model that extends VITS passes other parts with the same interfaces and overrides `encode_text`,
    `forward_durations` and `predict_durations` as needed.

    spectrogram: input of the posterior encoder.
    speaker_embedding: None for a single-speaker model, which has no speaker conditioning.
    """

    controls: ClassVar[type[VitsControls]] = VitsControls
    """The model's synthesis controls."""
    training_only: ClassVar[re.Pattern[str]] = TRAINING_ONLY
    """Names of the weights that `discard_training_parts` deletes."""

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
        """Embed speaker ids [B] -> [B, S, 1]; None for a single-speaker model."""
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

        tokens [B, T] ids and spectrogram [B, K, F], with lengths [B]; speakers [B] ids, ignored by a
        single-speaker model. Without seeds, noise and segments are random. With one seed per row, as
        in validation, the noise depends on the seed alone and the segment is the middle one.
        search: the alignment search; `align` if None.
        """
        text_mask = sequence_mask(token_lengths, tokens.size(1))
        frame_mask = sequence_mask(frame_lengths, spectrogram.size(2))
        speaker = self.speaker(speakers)

        text = self.encode_text(tokens, text_mask, speaker)
        posterior = self.posterior_encoder(spectrogram, frame_mask, speaker)
        noise = _noise(seeds, Stream.LATENT, posterior.mean.size(1), frame_lengths, frame_mask)
        z = masked(posterior.sample(noise), frame_mask)
        z_p = self.flow(z, frame_mask, speaker)

        search = search or align
        alignment = search(z_p, text.prior, frame_lengths, token_lengths)
        channels = self.duration_predictor.noise_channels
        noise = _noise(seeds, Stream.DURATION, channels, token_lengths, text_mask)
        durations = alignment.durations.unsqueeze(1)
        duration_output = self.forward_durations(text.hidden, durations, noise, text_mask, speaker)

        choose_starts = random_starts if seeds is None else middle_starts
        starts = choose_starts(frame_lengths, segment_frames)
        segments = slice_segments(z, starts, segment_frames)
        bands = None
        if isinstance(self.decoder, IstftGenerator) and self.decoder.sub_bands:
            bands = self.decoder.bands(segments, speaker=speaker)
            waveform = self.decoder.join(bands)
        else:
            waveform = self.decoder(segments, speaker=speaker)
        return VitsOutput(
            waveform=waveform,
            bands=bands,
            segment_starts=starts,
            posterior=posterior,
            prior=text.prior.expand(alignment.index),
            z_p=z_p,
            durations=duration_output,
            alignment=alignment,
            frame_mask=frame_mask,
        )

    def encode_text(
        self, tokens: Tensor, mask: Tensor | None, speaker: Tensor | None
    ) -> EncodedText:
        """tokens [B, T] ids, mask [B, 1, T]; VITS ignores speaker [B, S, 1]."""
        encoded: EncodedText = self.text_encoder(tokens, mask)
        return encoded

    def forward_durations(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None,
    ) -> DurationOutput:
        """hidden [B, H, T], durations [B, 1, T] frames, noise [B, noise_channels, T], mask [B, 1, T]."""
        loss = self.duration_predictor.loss(hidden, durations, noise, mask, speaker)
        return DurationOutput(loss=loss.sum() / mask.sum())

    def predict_durations(
        self,
        hidden: Tensor,
        noise: Tensor,
        mask: Tensor | None,
        speaker: Tensor | None,
        controls: VitsControls,
    ) -> Tensor:
        """hidden [B, H, T], noise [B, noise_channels, T] -> log durations [B, 1, T], for synthesis."""
        noise = noise * controls.noise_scale_duration
        return self.duration_predictor.log_durations(hidden, noise, mask, speaker)

    def discard_training_parts(self) -> None:
        """Delete the modules that synthesis does not use, in place."""
        self.duration_predictor.discard_training_parts()
        del self.posterior_encoder


class Vits(Generator):
    """The published model.

    vocabulary_size: rows of the symbol embedding.
    speakers: number of speakers; below 2, the model has no speaker conditioning.
    audio: spectrogram settings of the posterior encoder.
    Raises ConfigError if the hop length of `audio` is not the decoder's upsampling factor.
    """

    def __init__(
        self, config: VitsConfig, *, vocabulary_size: int, speakers: int, audio: MelSpec
    ) -> None:
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
            decoder=build_decoder(
                config.decoder,
                latent_channels=latent,
                speaker_channels=conditioning,
                audio=audio,
            ),
            speaker_embedding=nn.Embedding(speakers, conditioning) if conditioning else None,
            spectrogram=spectrogram,
        )


def _noise(
    seeds: Sequence[int] | None, stream: Stream, channels: int, lengths: Tensor, mask: Tensor
) -> Tensor:
    """Standard normal noise for a mask: lengths [B], mask [B, 1, F] -> [B, channels, F]."""
    if seeds is None:
        return torch.randn(len(mask), channels, mask.size(2), device=mask.device)
    return normal_noise(
        seeds, stream, channels=channels, lengths=lengths.tolist(), size=mask.size(2)
    ).to(mask.device)


@torch.no_grad()
def align(z_p: Tensor, prior: Gaussian, frame_lengths: Tensor, token_lengths: Tensor) -> Alignment:
    """Find the most likely monotonic alignment of frames with tokens (MAS, section 2.2.1).

    z_p [B, C, F], prior [B, C, T], lengths [B].
    """
    return monotonic_alignment(prior_log_likelihood(z_p, prior), frame_lengths, token_lengths)
