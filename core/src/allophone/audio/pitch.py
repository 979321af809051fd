"""Fundamental frequency (F0), aligned to the frames of a spectrogram. N samples, F frames."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec
from allophone.audio.yin import yin
from allophone.errors import UserError

PitchMethod = Literal["pyin", "yin", "praat", "dio"]


def fundamental_frequency(
    samples: NDArray[np.float32],
    spec: MelSpec,
    *,
    method: PitchMethod = "pyin",
    f_min: float = 65.0,
    f_max: float = 800.0,
) -> NDArray[np.float32]:
    """F0 in Hz at the centre of each frame of `spec`, 0 where unvoiced.

    Args:
        samples: [N] at `spec.sample_rate`.
        method: `pyin` (Mauch and Dixon 2014, by librosa) and `yin` (de Cheveigné and Kawahara 2002)
            need nothing more. The latter is many times quicker and calls fewer frames voiced. As quick
            are `praat`, its autocorrelation method (Boersma 1993, by `allophone[praat]`), and `dio` with
            StoneMask (Morise 2009 and 2016, by `allophone[pyworld]`), as FastSpeech 2 has it.
        f_min, f_max: where F0 is looked for, Hz.

    Returns:
        [F] float32, with F = `spec.frames(N)`.
    """
    if not 0 < f_min < f_max <= spec.sample_rate / 2:
        raise UserError(
            f"F0 cannot be looked for from {f_min:g} to {f_max:g} Hz at {spec.sample_rate} Hz",
            hint=f"Choose 0 < f_min < f_max <= {spec.sample_rate / 2:g}.",
        )
    track = {"pyin": _pyin, "yin": yin, "praat": _praat, "dio": _dio}[method]
    return track(samples, spec, f_min, f_max)


def _pyin(
    samples: NDArray[np.float32], spec: MelSpec, f_min: float, f_max: float
) -> NDArray[np.float32]:
    import librosa

    # Four periods of the lowest tone: with fewer, its period is not seen twice.
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
    try:
        import parselmouth
    except ImportError as error:
        raise UserError(
            "F0 by 'praat' needs the package praat-parselmouth",
            hint="pip install 'allophone[praat]', or use the method 'pyin'",
        ) from error
    # Praat lays as many windows of three periods of the lowest tone as fit, in the middle of the sound.
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
    try:
        import pyworld
    except ImportError as error:
        raise UserError(
            "F0 by 'dio' needs the package pyworld",
            hint="pip install 'allophone[pyworld]', or use the method 'pyin'",
        ) from error
    # WORLD's first frame is centred on the first sample, and its last may fall short of ours.
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
    """Padded or cut so that windows of this length, laid without gaps at its ends, have our centres."""
    before = window // 2 - spec.frame_center
    total = (spec.frames(len(samples)) - 1) * spec.hop_length + window
    return np.pad(samples, (before, max(0, total - before - len(samples))))[:total]
