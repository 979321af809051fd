"""FastSpeech 2 (Ren et al. 2021, arXiv 2006.04558): non-autoregressive text to mel spectrogram.

Legend: B batch, T text, F frames, M mel bands, H hidden channels.
"""

from __future__ import annotations

from attrs import frozen
from torch import Tensor, nn

from allophone.alignment import Alignment
from allophone_fastspeech2.aligner import Aligner, hard_alignment
from allophone_fastspeech2.config import FastSpeech2Config
from allophone_fastspeech2.masks import masked, sequence_mask
from allophone_fastspeech2.postnet import Postnet
from allophone_fastspeech2.transformer import Transformer
from allophone_fastspeech2.variance_adaptor import (
    Frames,
    Predictions,
    ProsodyControls,
    ProsodyTargets,
    VarianceAdaptor,
)


@frozen(kw_only=True)
class Recordings:
    """Input of training: texts, speakers, mels and prosody of recordings.

    tokens: ids [B, T], token_lengths: [B]; speakers: ids [B], ignored by a single-speaker model.
    mel: [B, M, F], frame_lengths: [B]; f0: [B, F] in Hz, 0 where unvoiced; energy: [B, F], magnitudes.
    durations: [B, T], frames of each token; None if the model learns them.
    """

    tokens: Tensor
    token_lengths: Tensor
    speakers: Tensor
    mel: Tensor
    frame_lengths: Tensor
    f0: Tensor
    energy: Tensor
    durations: Tensor | None


@frozen(kw_only=True)
class SoftAlignment:
    """scores: of the aligner, [B, F, T]; hard: the most likely alignment."""

    scores: Tensor
    hard: Alignment


@frozen(kw_only=True)
class SynthesizedMels:
    """mel: [B, M, F], zero past lengths [B]; coarse: mel before the PostNet, None without a PostNet.

    durations: [B, T], frames of each token.
    """

    mel: Tensor
    lengths: Tensor
    coarse: Tensor | None
    durations: Tensor


@frozen(kw_only=True)
class FastSpeech2Output:
    """Output of the training pass; alignment is None if durations were given."""

    mels: SynthesizedMels
    predictions: Predictions
    alignment: SoftAlignment | None
    token_mask: Tensor
    frame_mask: Tensor


class FastSpeech2(nn.Module):
    """FastSpeech 2 with an optional aligner for learned durations.

    vocabulary_size: rows of the symbol embedding.
    speakers: number of speakers; below 2, the model has no speaker embedding.
    mels: number of mel bands.
    """

    def __init__(
        self, config: FastSpeech2Config, *, vocabulary_size: int, speakers: int, mels: int
    ) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_channels
        self.token_embedding = nn.Embedding(vocabulary_size, hidden)
        self.encoder = Transformer(config.encoder, hidden)
        self.speaker_embedding = nn.Embedding(speakers, hidden) if speakers > 1 else None
        self.variance_adaptor = VarianceAdaptor(config)
        self.decoder = Transformer(config.decoder, hidden)
        self.mel_projection = nn.Linear(hidden, mels)
        self.postnet = Postnet(config.postnet, mels) if config.postnet.layers else None
        self.aligner = (
            Aligner(config.aligner, vocabulary_size=vocabulary_size, mels=mels)
            if config.durations == "learned"
            else None
        )

    def forward(self, recordings: Recordings) -> FastSpeech2Output:
        """Teacher-forced pass, with durations, pitch and energy of the recordings.

        Raises UserError if durations are learned and an utterance has more tokens than frames.
        """
        token_mask = sequence_mask(recordings.token_lengths, recordings.tokens.size(1))
        frame_mask = sequence_mask(recordings.frame_lengths, recordings.mel.size(2))
        alignment, durations = None, recordings.durations
        if self.aligner is not None:
            alignment = self._align(recordings)
            durations = alignment.hard.durations
        assert durations is not None

        hidden = self._encode(recordings.tokens, recordings.speakers, token_mask)
        frames, predictions = self.variance_adaptor(
            hidden,
            token_mask,
            ProsodyTargets(
                durations=durations,
                frame_lengths=recordings.frame_lengths,
                f0=recordings.f0,
                energy=recordings.energy,
            ),
        )
        return FastSpeech2Output(
            mels=self._decode(frames),
            predictions=predictions,
            alignment=alignment,
            token_mask=token_mask,
            frame_mask=frame_mask,
        )

    def synthesize(
        self, tokens: Tensor, token_lengths: Tensor, speakers: Tensor, controls: ProsodyControls
    ) -> SynthesizedMels:
        """Synthesize mels: tokens [B, T], token_lengths [B], speakers [B], controls [B, T]."""
        token_mask = None if len(tokens) == 1 else sequence_mask(token_lengths, tokens.size(1))
        hidden = self._encode(tokens, speakers, token_mask)
        return self._decode(self.variance_adaptor.predict(hidden, token_mask, controls))

    def _align(self, recordings: Recordings) -> SoftAlignment:
        assert self.aligner is not None
        lengths = recordings.token_lengths, recordings.frame_lengths
        scores = self.aligner(
            tokens=recordings.tokens,
            token_lengths=recordings.token_lengths,
            mel=recordings.mel,
            frame_lengths=recordings.frame_lengths,
        )
        return SoftAlignment(scores=scores, hard=hard_alignment(scores, *lengths))

    def _encode(self, tokens: Tensor, speakers: Tensor, mask: Tensor | None) -> Tensor:
        """tokens [B, T], speakers [B], mask [B, T] -> [B, T, H]."""
        hidden: Tensor = self.encoder(self.token_embedding(tokens), mask)
        if self.speaker_embedding is None:
            return hidden
        return masked(hidden + self.speaker_embedding(speakers).unsqueeze(1), mask)

    def _decode(self, frames: Frames) -> SynthesizedMels:
        decoded = self.decoder(frames.hidden, frames.mask)
        coarse = masked(self.mel_projection(decoded).float(), frames.mask).transpose(1, 2)
        mel = coarse
        if self.postnet is not None:
            mel = coarse + self.postnet(coarse, frames.mask).float()
            if frames.mask is not None:
                mel = mel * frames.mask.unsqueeze(1)
        return SynthesizedMels(
            mel=mel,
            coarse=None if self.postnet is None else coarse,
            lengths=frames.lengths,
            durations=frames.durations,
        )
