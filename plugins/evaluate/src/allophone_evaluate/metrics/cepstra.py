"""Mel cepstra, by which utterances are compared and aligned.

The log-mel spectrum of a frame is written as a sum of cosines; coefficient k is the amplitude of the k-th. Low
coefficients describe the formants; the 0th, the level, is left out.

F frames, K coefficients, M mel bands, N samples.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from allophone.audio.files import resample
from allophone.audio.melspec import MelSpec
from allophone.audio.silence import trim_silence

N_COEFFICIENTS = 13
_DYNAMIC_RANGE = 80.0
"""What is this far below the loudest mel of an utterance counts as silence, dB."""

_QUIET = 60.0
"""What is this far below the loudest window at the ends of an utterance is cut off, dB."""


def spoken_part(
    samples: NDArray[np.float32], sample_rate: int, spec: MelSpec
) -> NDArray[np.float32]:
    """The samples at the rate of `spec`, without silence at their ends; empty if all are silent."""
    resampled = resample(samples, sample_rate, spec.sample_rate)
    return trim_silence(resampled, spec.sample_rate, threshold_db=_QUIET)


def cepstra(samples: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float64]:
    """Coefficients 1 to K [F, K] of the frames of `spec`, in dB. The samples are those of `spoken_part`."""
    # Imported here: who lists metrics, or examines what is installed, may have no PyTorch.
    import torch

    from allophone.audio.spectrogram import mel_spectrogram

    in_decibels = evolve(
        spec,
        log_base="10",
        log_floor=1e-10,
        log_gain=20 / spec.power,
        log_offset=0.0,
        clip_low=None,
        clip_high=None,
    )
    # At a power of 1, so that what `spec` adds to the spectrum counts the same whatever the loudness.
    amplitude = np.sqrt(np.square(samples, dtype=np.float64).mean()) or 1.0
    padded = np.zeros(max(len(samples), spec.min_samples), np.float32)
    padded[: len(samples)] = samples / amplitude
    mel = mel_spectrogram(torch.from_numpy(padded).unsqueeze(0), in_decibels)[0].T.double().numpy()
    mel = np.maximum(mel, mel.max() - _DYNAMIC_RANGE)
    return cosine_transform(mel)


def cosine_transform(log_mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The amplitudes [F, K] of the cosines of which log-mel spectra [F, M] are the sum."""
    n_mels = log_mel.shape[1]
    band = (np.arange(n_mels)[:, None] + 0.5) / n_mels
    return log_mel @ (2 / n_mels * np.cos(math.pi * np.arange(1, N_COEFFICIENTS + 1) * band))
