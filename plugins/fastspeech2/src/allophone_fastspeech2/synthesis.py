"""FastSpeech 2 as the core's voices speak with it.

Legend: B batch, T text, F frames, N samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from allophone.audio.spectrogram import frame_lengths, mel_spectrogram
from allophone.data.batch import Batch
from allophone.inference.protocol import Mels, TextBatch, VoiceSpec
from allophone.weights import load_weights, skip_init
from allophone_fastspeech2.aligner import hard_alignment
from allophone_fastspeech2.config import FastSpeech2Controls
from allophone_fastspeech2.model import FastSpeech2, SynthesizedMels
from allophone_fastspeech2.prosody_controls import prosody_controls
from allophone_fastspeech2.recordings import needed_features, recordings_of


def build_synthesizer(
    spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
) -> FastSpeech2Synthesizer:
    """Make a voice's weights ready to speak.

    Raises UserError for weights that do not fit the voice's description.
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
    """Speaks texts, and says recordings again with their own durations, pitch and energy."""

    controls = FastSpeech2Controls

    def __init__(self, model: FastSpeech2, spec: VoiceSpec) -> None:
        self._model = model
        self._audio = spec.audio
        self._table = spec.vocabulary.symbols

    @property
    def features(self) -> tuple[str, ...]:
        """What a batch must carry for `reconstruct`."""
        return needed_features(self._model.config)

    def synthesize(self, text: TextBatch, controls: FastSpeech2Controls) -> Mels:
        """Say some sentences: mel [B, M, F], and the frames of each id."""
        spoken = self._model.synthesize(
            text.ids, text.lengths, text.speakers, prosody_controls(controls, text, self._table)
        )
        return _mels(spoken)

    def reconstruct(self, batch: Batch) -> Mels:
        """The recordings of a batch as the model would say them, frame by frame in step with them."""
        return _mels(self._model(recordings_of(batch, self._audio)).mels)


class FastSpeech2AligningSynthesizer(FastSpeech2Synthesizer):
    """A synthesizer that has learned durations itself, and can tell those of recordings."""

    def align(self, text: TextBatch, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Frames of each id [B, T] in waveforms [B, N] of `lengths` [B] samples.

        Raises UserError for a recording of fewer frames than its text has ids.
        """
        assert self._model.aligner is not None
        frames = frame_lengths(lengths, self._audio)
        mel = mel_spectrogram(waveform, self._audio, lengths=lengths)
        scores = self._model.aligner(text.ids, text.lengths, mel, frames)
        return hard_alignment(scores, text.lengths, frames).durations


def _mels(spoken: SynthesizedMels) -> Mels:
    return Mels(mel=spoken.mel, lengths=spoken.lengths, durations=spoken.durations)
