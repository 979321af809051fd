"""The metric `mel-distance`: how far the mel spectrogram of synthesized speech is from the recording's.

Both are brought to the same power, and their mels, by the experiment's MelSpec, are in dB. Frames are
paired by dynamic time warping (Sakoe & Chiba 1978, symmetric form), so that other durations cost nothing
by themselves. The score is the root mean square difference over the mel bands of paired frames, averaged.

F frames, M mel bands, N samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from allophone.audio.files import resample
from allophone.metrics.config import MelDistanceConfig
from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone.metrics.warping import warp

_FLOOR = 1e-10
"""Below whatever counts: in speech of power 1 the loudest mel is above 1."""


class MelDistance:
    """Gives "mel_distance" in dB, 0 for speech that is identical to its reference."""

    def __init__(self, config: MelDistanceConfig, context: MetricContext) -> None:
        self._range = config.dynamic_range
        self._audio = evolve(
            context.audio,
            log_base="10",
            log_floor=_FLOOR,
            log_gain=20 / context.audio.power,
            log_offset=0.0,
            clip_low=None,
            clip_high=None,
        )

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"mel_distance": dB} of each; ValueError without a reference."""
        return [{"mel_distance": self._distance(one)} for one in speech]

    def _distance(self, speech: SynthesizedSpeech) -> float:
        if speech.reference is None:
            raise ValueError(f"'{speech.id}' has no reference")
        spoken, recorded = (
            self._decibels(samples, speech.sample_rate)
            for samples in (speech.samples, speech.reference)
        )
        silence = recorded.max() - self._range
        return warp(np.maximum(spoken, silence), np.maximum(recorded, silence)).distance

    def _decibels(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
        """The mel [F, M] of the samples at a power of 1."""
        # Imported here: who lists metrics, or examines what is installed, may have no PyTorch.
        import torch

        from allophone.audio.spectrogram import mel_spectrogram

        samples = resample(samples, sample_rate, self._audio.sample_rate)
        power = np.square(samples, dtype=np.float64).sum() / max(1, len(samples))
        amplitude = np.sqrt(power) or 1.0
        scaled = np.zeros(max(len(samples), self._audio.min_samples), np.float32)
        scaled[: len(samples)] = samples / amplitude
        mel = mel_spectrogram(torch.from_numpy(scaled).unsqueeze(0), self._audio)
        return mel[0].T.double().numpy()
