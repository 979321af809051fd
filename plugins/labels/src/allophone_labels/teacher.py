"""The extractor `teacher-distances`: how far each recording is from what a voice says in its place. F frames, M mels, N samples.

Any voice can be the teacher, also of another speaker. A recording that says another text than its own stands out, because
no warping of time brings the two together. The review of `allophone extract` names such utterances.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import allophone
from allophone.audio.files import resample
from allophone.audio.melspec import MelSpec
from allophone.audio.silence import trim_silence
from allophone.audio.spectrogram import mel_spectrogram
from allophone.data.digests import file_state
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone.files.run_folder import find_checkpoint, is_run
from allophone.metrics.warping import warp
from allophone.registry import default_registry
from allophone.synthesis.loading import find
from allophone.synthesis.voice import Voice
from allophone_labels.config import TeacherDistancesConfig

_AUDIO = MelSpec(
    sample_rate=16000,
    n_fft=1024,
    win_length=640,
    hop_length=256,
    n_mels=40,
    f_min=100.0,
    f_max=7000.0,
    log_base="10",
    log_gain=20.0,
    log_floor=1e-5,
)
"""Mels in dB, at a resolution at which speakers differ less than sounds."""

_RANGE_DB = 50.0
"""What is this far below the loudest mel of an utterance is silence."""


class TeacherDistancesExtractor:
    """Extracts one number: the root mean square difference in dB of the log-mels of recording and teacher.

    Both are paired in time by dynamic time warping (`allophone.metrics.warping`), after the mean of each mel band over
    the utterance was subtracted from both, which takes out much of speaker, microphone and loudness. NaN
    for an utterance whose text the voice cannot say.
    """

    reads = frozenset({"audio", "text"})

    def __init__(self, config: TeacherDistancesConfig, context: ExtractionContext) -> None:
        """Locate the voice; UserError if there is none. It is loaded on first use."""
        self._context = context
        self._place = config.voice
        self.key: Mapping[str, Any] = {
            "version": 1,
            "voice": _contents(find(config.voice, default_registry())[0]),
            "recording": dict(context.audio_key),
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.float64]]:
        """Yield the distance of each utterance, a scalar."""
        for utterance in utterances:
            recorded = self._context.load_audio(utterance)
            yield np.array(self._distance(utterance, recorded))

    @cached_property
    def _voice(self) -> Voice:
        return allophone.load(self._place)

    def _distance(self, utterance: Utterance, recorded: NDArray[np.float32]) -> float:
        try:
            said = self._voice.say(utterance.text)
        except UserError:
            return float("nan")
        ours = _decibels(recorded, self._context.audio.sample_rate)
        theirs = _decibels(said.samples, said.sample_rate)
        return warp(ours, theirs).distance


def _decibels(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """The mel [F, M] of samples [N] without silence at the ends; the mean of each band is 0."""
    samples = resample(samples, sample_rate, _AUDIO.sample_rate)
    spoken = trim_silence(samples, _AUDIO.sample_rate, threshold_db=40.0)
    if len(spoken) < _AUDIO.min_samples:
        spoken = np.pad(spoken, (0, _AUDIO.min_samples - len(spoken)))
    mel = mel_spectrogram(torch.from_numpy(spoken)[None], _AUDIO)[0].T.double().numpy()
    heard = np.maximum(mel, mel.max() - _RANGE_DB)
    return np.asarray(heard - heard.mean(0))


def _contents(path: Path) -> list[str]:
    """Digests of the files of a voice: of the latest checkpoint, if it is a run."""
    if is_run(path):
        path = find_checkpoint(path).path
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    states = [file_state(str(file)) for file in files]
    return [state[2] for state in states if state is not None]
