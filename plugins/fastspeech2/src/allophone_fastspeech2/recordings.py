"""What a batch of the core is to the model.

Legend: B batch, T text, F frames, N samples, M mel bands.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import frame_lengths, mel_spectrogram
from allophone.data.batch import Batch
from allophone_fastspeech2.config import FastSpeech2Config
from allophone_fastspeech2.model import Recordings


def needed_features(config: FastSpeech2Config) -> tuple[str, ...]:
    """The stored features that training wants."""
    features = ("waveform", "phonemes", "f0", "energy")
    return (*features, "durations") if config.durations == "stored" else features


def recordings_of(batch: Batch, audio: MelSpec) -> Recordings:
    """The recordings of a batch; their mels are computed where the waveforms are."""
    waveform, tokens = batch["waveform"], batch["phonemes"]
    mel = mel_spectrogram(waveform.values, audio, lengths=waveform.lengths)
    durations = batch["durations"].values if "durations" in batch.features else None
    return Recordings(
        tokens=tokens.values,
        token_lengths=tokens.lengths,
        speakers=batch.speakers,
        mel=mel,
        frame_lengths=frame_lengths(waveform.lengths, audio),
        f0=_fitted(batch["f0"].values, mel.size(2)),
        energy=_fitted(batch["energy"].values, mel.size(2)),
        durations=None if durations is None else _fitted(durations, tokens.values.size(1)),
    )


def _fitted(values: Tensor, size: int) -> Tensor:
    """values [B, L] as [B, size]: each feature is padded to its own longest, and more or less."""
    return functional.pad(values, (0, size - values.size(1)))
