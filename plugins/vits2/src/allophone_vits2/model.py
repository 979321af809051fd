"""VITS2: VITS with a transformer flow, a speaker-conditioned text encoder and adversarially trained
durations (Kong et al. 2023).

Legend: B batch, T text, F frames, H hidden channels, N samples, M mel bands, S speaker channels.
"""

from __future__ import annotations

import re
from typing import cast

from attrs import frozen
from torch import Tensor, nn

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram
from allophone_vits.config import VitsControls
from allophone_vits.decoder import build_decoder
from allophone_vits.durations import log_duration_target
from allophone_vits.layers import masked
from allophone_vits.model import DurationOutput, Generator
from allophone_vits.posterior_encoder import LinearSpectrogram, PosteriorEncoder
from allophone_vits.text_encoder import EncodedText, TextEncoder
from allophone_vits2.config import Vits2Config, Vits2Controls
from allophone_vits2.durations import (
    MixedDurationPredictor,
    TrainablePredictor,
    build_duration_predictor,
)
from allophone_vits2.flow import Vits2Flow
from allophone_vits2.text_encoder import SpeakerTextEncoder

TRAINING_ONLY = re.compile(
    r"posterior_encoder\.|"
    r"duration_predictor\.(stochastic\.)?(posterior\.|flow\.couplings\.0\.)"
)
"""Names of weights that synthesis does not use."""


class MelSpectrogram:
    """Mel spectrogram, the posterior encoder's input in VITS2; a `Spectrogram` of `allophone_vits`."""

    def bins(self, audio: MelSpec) -> int:
        return audio.n_mels

    def from_waveform(
        self, waveform: Tensor, audio: MelSpec, *, lengths: Tensor | None = None
    ) -> Tensor:
        return mel_spectrogram(waveform, audio, lengths=lengths)

    def to_mel(self, values: Tensor, audio: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
        return values


@frozen(kw_only=True)
class Vits2DurationOutput(DurationOutput):
    """Duration loss, and the inputs of the duration discriminator.

    hidden: [B, H, T], encoded text; mask: [B, 1, T]; speaker: [B, S, 1] or None.
    real, predicted: [B, 1, T], log durations of the alignment search and of the predictor.
    """

    hidden: Tensor
    real: Tensor
    predicted: Tensor
    mask: Tensor
    speaker: Tensor | None


class Vits2(Generator):
    """The VITS2 model; arguments as in `allophone_vits.model.Vits`."""

    controls = Vits2Controls
    training_only = TRAINING_ONLY
    flow: Vits2Flow

    def __init__(
        self, config: Vits2Config, *, vocabulary_size: int, speakers: int, audio: MelSpec
    ) -> None:
        latent = config.latent_channels
        conditioning = config.speaker_channels if speakers > 1 else 0
        spectrogram = (
            MelSpectrogram() if config.posterior_encoder.reads == "mel" else LinearSpectrogram()
        )
        text_encoder = (
            SpeakerTextEncoder(
                config.text_encoder,
                vocabulary_size=vocabulary_size,
                latent_channels=latent,
                speaker_channels=conditioning,
            )
            if conditioning and config.text_speaker
            else TextEncoder(
                config.text_encoder, vocabulary_size=vocabulary_size, latent_channels=latent
            )
        )
        super().__init__(
            text_encoder=text_encoder,
            posterior_encoder=PosteriorEncoder(
                config.posterior_encoder,
                bins=spectrogram.bins(audio),
                latent_channels=latent,
                speaker_channels=conditioning,
            ),
            flow=Vits2Flow(config.flow, channels=latent, speaker_channels=conditioning),
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

    def encode_text(
        self, tokens: Tensor, mask: Tensor | None, speaker: Tensor | None
    ) -> EncodedText:
        """tokens [B, T] ids, mask [B, 1, T], speaker [B, S, 1]."""
        if isinstance(self.text_encoder, SpeakerTextEncoder):
            encoded: EncodedText = self.text_encoder(tokens, mask, speaker)
            return encoded
        return super().encode_text(tokens, mask, speaker)

    def forward_durations(
        self,
        hidden: Tensor,
        durations: Tensor,
        noise: Tensor,
        mask: Tensor,
        speaker: Tensor | None,
    ) -> Vits2DurationOutput:
        """hidden [B, H, T], durations [B, 1, T] frames, noise [B, noise_channels, T], mask [B, 1, T]."""
        predictor = cast(TrainablePredictor, self.duration_predictor)
        prediction = predictor.forward_train(hidden, durations, noise, mask, speaker)
        return Vits2DurationOutput(
            loss=prediction.loss.sum() / mask.sum(),
            hidden=hidden,
            real=masked(log_duration_target(durations), mask),
            predicted=prediction.log_durations,
            mask=mask,
            speaker=speaker,
        )

    def predict_durations(
        self,
        hidden: Tensor,
        noise: Tensor,
        mask: Tensor | None,
        speaker: Tensor | None,
        controls: VitsControls,
    ) -> Tensor:
        """hidden [B, H, T], noise [B, noise_channels, T] -> log durations [B, 1, T], for synthesis."""
        predictor = self.duration_predictor
        if isinstance(predictor, MixedDurationPredictor):
            noise = noise * controls.noise_scale_duration
            share = cast(Vits2Controls, controls).stochastic_share
            return predictor.log_durations(hidden, noise, mask, speaker, stochastic_share=share)
        return super().predict_durations(hidden, noise, mask, speaker, controls)
