"""The synthesizer of FastSpeech 2.

Legend: B batch, T text, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.audio.spectrogram import frame_lengths, mel_spectrogram
from allophone.data.batch import Batch
from allophone.inference.protocol import Mels, TextBatch, VoiceSpec
from allophone.weights.loading import load_weights, skip_init
from allophone_fastspeech2.aligner import hard_alignment
from allophone_fastspeech2.config import FastSpeech2Controls
from allophone_fastspeech2.model import FastSpeech2, SynthesizedMels
from allophone_fastspeech2.prosody_controls import prosody_controls
from allophone_fastspeech2.recordings import needed_features, recordings_from_batch


def build_synthesizer(
    spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
) -> FastSpeech2Synthesizer:
    """Build a synthesizer from a voice's weights.

    Raises UserError if the weights do not fit the voice's description.
    """
    with skip_init():
        model = FastSpeech2(
            spec.model,
            vocabulary_size=spec.vocabulary.symbols.size,
            speakers=len(spec.vocabulary.speakers),
            mels=spec.audio.n_mels,
        )
    model.to(device).eval().requires_grad_(False)
    load_weights(model, weights, where="this voice")
    if model.aligner is None:
        return FastSpeech2Synthesizer(model, spec)
    return FastSpeech2AligningSynthesizer(model, spec)


class FastSpeech2Synthesizer:
    """Synthesizes mels from text, and reconstructs recordings with teacher forcing."""

    controls = FastSpeech2Controls

    def __init__(self, model: FastSpeech2, spec: VoiceSpec) -> None:
        self._model = model
        self._audio = spec.audio
        self._table = spec.vocabulary.symbols

    @property
    def features(self) -> tuple[str, ...]:
        """Features that a batch needs for `reconstruct`."""
        return needed_features(self._model.config)

    def synthesize(self, text: TextBatch, controls: FastSpeech2Controls) -> Mels:
        """Synthesize a batch: mel [B, M, F], and the duration of each id in frames."""
        synthesized = self._model.synthesize(
            text.ids, text.lengths, text.speakers, prosody_controls(controls, text, self._table)
        )
        return _mels(synthesized)

    def reconstruct(self, batch: Batch) -> Mels:
        """Teacher-forced mels of a batch of recordings, aligned with them frame by frame."""
        return _mels(self._model(recordings_from_batch(batch, self._audio)).mels)


class FastSpeech2AligningSynthesizer(FastSpeech2Synthesizer):
    """A synthesizer with an aligner, which can also align recordings."""

    def align(self, text: TextBatch, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Durations [B, T] of each id in frames; waveform [B, N], lengths [B] in samples.

        Raises UserError if a recording has fewer frames than its text has ids.
        """
        assert self._model.aligner is not None
        frames = frame_lengths(lengths, self._audio)
        mel = mel_spectrogram(waveform, self._audio, lengths=lengths)
        scores = self._model.aligner(text.ids, text.lengths, mel, frames)
        return hard_alignment(scores, text.lengths, frames).durations


def _mels(synthesized: SynthesizedMels) -> Mels:
    return Mels(
        mel=synthesized.mel,
        lengths=synthesized.lengths,
        durations=synthesized.durations,
    )
