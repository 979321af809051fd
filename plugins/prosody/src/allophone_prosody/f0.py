"""Fundamental frequency (F0), aligned to the frames of a spectrogram. N samples, F frames."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from attrs import asdict
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone_prosody.config import F0Config, PitchMethod
from allophone_prosody.yin import yin


class F0Extractor:
    """F0 [F] float32 in Hz at the centre of each frame of `[audio]`, 0 where unvoiced."""

    reads = frozenset({"audio"})

    def __init__(self, config: F0Config, context: ExtractionContext) -> None:
        self._config = config
        self._context = context
        spec = context.audio
        self.key: Mapping[str, Any] = {
            "version": 1,
            "recording": dict(context.audio_key),
            "config": asdict(config),
            "frames": {"n_fft": spec.n_fft, "hop_length": spec.hop_length, "center": spec.center},
        }

    def extract(self, utterances: Sequence[Utterance]) -> Iterator[NDArray[np.float32]]:
        """Yield one F0 contour per utterance."""
        for utterance in utterances:
            yield fundamental_frequency(
                self._context.load_audio(utterance),
                self._context.audio,
                method=self._config.method,
                f_min=self._config.f_min,
                f_max=self._config.f_max,
            )


def fundamental_frequency(
    samples: NDArray[np.float32],
    spec: MelSpec,
    *,
    method: PitchMethod = "yin",
    f_min: float = 65.0,
    f_max: float = 800.0,
) -> NDArray[np.float32]:
    """F0 in Hz at the centre of each frame of `spec`, 0 where unvoiced.

    Args:
        samples: [N] at `spec.sample_rate`.
        method: `yin` (de Cheveigné and Kawahara 2002) has no dependencies. `pyin` (Mauch and Dixon 2014,
            needs `allophone-prosody[librosa]`) marks more frames as voiced and is many times slower. `praat`
            (Boersma 1993, autocorrelation, needs `allophone-prosody[praat]`) and `dio` with StoneMask (Morise
            2009 and 2016, needs `allophone-prosody[pyworld]`), used by FastSpeech 2, are as fast as `yin`.
        f_min, f_max: the search range in Hz.

    Returns:
        [F] float32, with F = `spec.frames(N)`.

    Raises:
        UserError: the range is invalid, or the method's package is not installed.
    """
    if not 0 < f_min < f_max <= spec.sample_rate / 2:
        raise UserError(
            f"Invalid F0 range {f_min:g} to {f_max:g} Hz at a sample rate of {spec.sample_rate} Hz",
            hint=f"Choose 0 < f_min < f_max <= {spec.sample_rate / 2:g}.",
        )
    track = {"pyin": _pyin, "yin": yin, "praat": _praat, "dio": _dio}[method]
    return track(samples, spec, f_min, f_max)


def _pyin(
    samples: NDArray[np.float32], spec: MelSpec, f_min: float, f_max: float
) -> NDArray[np.float32]:
    librosa = _package("librosa", method="pyin", extra="librosa")
    # Four periods of the lowest frequency, so that the window contains its period twice.
    window = 2 ** math.ceil(math.log2(4 * spec.sample_rate / f_min))
    f0, _, _ = librosa.pyin(
        _framed(samples, spec, window),
        fmin=f_min,
        fmax=f_max,
        sr=spec.sample_rate,
        frame_length=window,
        hop_length=spec.hop_length,
        center=False,
        fill_na=0.0,
    )
    return np.asarray(f0, dtype=np.float32)


def _praat(
    samples: NDArray[np.float32], spec: MelSpec, f_min: float, f_max: float
) -> NDArray[np.float32]:
    parselmouth = _package("parselmouth", method="praat", extra="praat")
    # Praat uses windows of three periods of the lowest frequency, centred in the sound.
    window = 2 * math.ceil(1.5 * spec.sample_rate / f_min) + 2
    sound = parselmouth.Sound(
        _framed(samples, spec, window).astype(np.float64), sampling_frequency=spec.sample_rate
    )
    pitch = sound.to_pitch_ac(
        time_step=spec.hop_length / spec.sample_rate, pitch_floor=f_min, pitch_ceiling=f_max
    )
    found: NDArray[np.float64] = pitch.selected_array["frequency"]
    return found.astype(np.float32)


def _dio(
    samples: NDArray[np.float32], spec: MelSpec, f_min: float, f_max: float
) -> NDArray[np.float32]:
    pyworld = _package("pyworld", method="dio", extra="pyworld")
    # WORLD's first frame is centred on the first sample, and it may have fewer frames than `spec`.
    frames = spec.frames(len(samples))
    shifted = samples[spec.frame_center :].astype(np.float64)
    padded = np.pad(shifted, (0, max(0, frames * spec.hop_length - len(shifted))))
    period = 1000 * spec.hop_length / spec.sample_rate
    coarse, times = pyworld.dio(
        padded, spec.sample_rate, f0_floor=f_min, f0_ceil=f_max, frame_period=period
    )
    f0 = pyworld.stonemask(padded, coarse, times, spec.sample_rate)
    return f0[:frames].astype(np.float32)


def _framed(samples: NDArray[np.float32], spec: MelSpec, window: int) -> NDArray[np.float32]:
    """Pad or cut samples so that unpadded windows of this length have the frame centres of `spec`."""
    before = window // 2 - spec.frame_center
    total = (spec.frames(len(samples)) - 1) * spec.hop_length + window
    return np.pad(samples, (before, max(0, total - before - len(samples))))[:total]


def _package(module: str, *, method: PitchMethod, extra: str) -> Any:
    """Import the package of a method; UserError that names the extra to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(
            f"The F0 method '{method}' needs the package {module}, which cannot be imported: {error}.",
            hint=f"pip install 'allophone-prosody[{extra}]', or use the method 'yin'",
        ) from error
