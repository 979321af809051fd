"""Three scores of speech resynthesized from a recording.

DistillMOS (Stahl and Gamper 2025) predicts listeners' ratings from 1 to 5 without a
reference. Wide-band PESQ (ITU-T P.862.2) compares with the recording, up to 4.64. The log-mel distance is the
mean absolute difference to the recording's log-mel spectrogram, in nepers.

Everything is compared at 16 kHz. N samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import distillmos
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from pesq import pesq

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import mel_spectrogram

SAMPLE_RATE = 16000
MEL = MelSpec(sample_rate=SAMPLE_RATE, center=True, magnitude_epsilon=1e-9)
"""The MelSpec of the log-mel distance, different from that of any vocoder."""


@frozen(kw_only=True)
class Scores:
    """mos and pesq are better when higher, log_mel is better when lower."""

    mos: float
    pesq: float
    log_mel: float


class Judge:
    """Scores recordings one by one."""

    def __init__(self) -> None:
        self._mos = distillmos.ConvTransformerSQAModel().eval()

    def judge(self, said: NDArray[np.float32], recording: NDArray[np.float32]) -> Scores:
        """Both [N] at `SAMPLE_RATE` and aligned; the longer one is truncated."""
        length = min(len(said), len(recording))
        waveforms = torch.stack([torch.from_numpy(one[:length]) for one in (said, recording)])
        with torch.inference_mode():
            mels = mel_spectrogram(waveforms, MEL)
            mos = float(self._mos(waveforms[:1]))
        return Scores(
            mos=mos,
            pesq=float(pesq(SAMPLE_RATE, recording[:length], said[:length], "wb")),
            log_mel=float((mels[0] - mels[1]).abs().mean()),
        )


def mean_scores(scores: Iterable[Scores]) -> Scores:
    """The mean over recordings."""
    scores = list(scores)
    return Scores(
        mos=statistics.fmean(one.mos for one in scores),
        pesq=statistics.fmean(one.pesq for one in scores),
        log_mel=statistics.fmean(one.log_mel for one in scores),
    )
