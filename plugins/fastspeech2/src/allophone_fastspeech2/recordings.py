"""Conversion of batches to the model's input."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import frame_lengths, mel_spectrogram
from allophone.data.batch import Batch
from allophone_fastspeech2.config import FastSpeech2Config
from allophone_fastspeech2.model import Recordings


def needed_features(config: FastSpeech2Config) -> tuple[str, ...]:
    """Names of the stored features that training needs."""
    features = ("waveform", "phonemes", "f0", "energy")
    return (*features, "durations") if config.durations == "stored" else features


def recordings_from_batch(batch: Batch, audio: MelSpec) -> Recordings:
    """Convert a batch; mels are computed on the device of the waveforms."""
    waveform, tokens = batch["waveform"], batch["phonemes"]
    mel = mel_spectrogram(waveform.values, audio, lengths=waveform.lengths)
    durations = batch["durations"].values if "durations" in batch.features else None
    return Recordings(
        tokens=tokens.values,
        token_lengths=tokens.lengths,
        speakers=batch.speakers,
        mel=mel,
        frame_lengths=frame_lengths(waveform.lengths, audio),
        f0=_resize(batch["f0"].values, mel.size(2)),
        energy=_resize(batch["energy"].values, mel.size(2)),
        durations=None if durations is None else _resize(durations, tokens.values.size(1)),
    )


def _resize(values: Tensor, size: int) -> Tensor:
    """Pad or crop values [B, L] to [B, size]: each feature is padded to its own maximum length."""
    return functional.pad(values, (0, size - values.size(1)))
