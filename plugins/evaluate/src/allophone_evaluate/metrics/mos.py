"""The metric `mos`: the mean opinion score that DistillMOS (Stahl and Gamper 2025) predicts, 1 to 5.

It was trained on ratings of speech quality, mostly of transmitted and processed speech, and hears no reference.
The package has its own weights (MIT).
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence

from allophone.audio.files import resample
from allophone.metrics.protocol import MetricContext, SynthesizedSpeech
from allophone_evaluate.config import MosConfig
from allophone_evaluate.packages import required_package

_RATE = 16000
_SHORTEST = 0.1
"""Seconds that the model needs."""


class Mos:
    """Gives "mos"; NaN for less than 0.1 seconds."""

    def __init__(self, config: MosConfig, context: MetricContext) -> None:
        del config
        package = required_package("distillmos", metric="mos", extra="mos")
        self._device = context.device
        # It prints where its weights are.
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            self._model = package.ConvTransformerSQAModel().eval().to(context.device)

    def score(self, speech: Sequence[SynthesizedSpeech]) -> list[dict[str, float]]:
        """{"mos": rating} of each."""
        return [{"mos": self._rating(one)} for one in speech]

    def _rating(self, speech: SynthesizedSpeech) -> float:
        import torch

        samples = resample(speech.samples, speech.sample_rate, _RATE)
        if len(samples) < _SHORTEST * _RATE:
            return math.nan
        with torch.inference_mode():
            waveform = torch.from_numpy(samples.copy()).unsqueeze(0).to(self._device)
            return float(self._model(waveform))
