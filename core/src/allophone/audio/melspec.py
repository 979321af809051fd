"""`MelSpec`: everything that decides what the numbers of a mel spectrogram mean.

Two mels that only look alike are the commonest silent failure between an acoustic model and a
vocoder, so every convention that tells mels apart is a field here, and `MelSpec.differences` says
how two specs disagree. This module is light: it imports neither torch nor numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from attrs import fields, frozen

from allophone.errors import ConfigError, UserError


@frozen(kw_only=True)
class MelSpec:
    """The parameters of a linear and a mel spectrogram; the `[audio]` table of an experiment.

    A mel spectrogram is computed in this order, and every step reads its fields from here:

    1. The waveform is padded: by `n_fft // 2` on both sides where `center`, else by
       `(n_fft - hop_length) // 2`, so that N samples give about `N / hop_length` frames.
    2. Short-time Fourier transform with a periodic Hann window of `win_length`, centred in `n_fft`,
       divided by the window's L2 norm where `normalize_window`.
    3. Magnitude `sqrt(|X|^2 + magnitude_epsilon)`, raised to `power`: the linear spectrogram.
    4. Mel filter bank of `n_mels` triangles from `f_min` to `f_max`.
    5. `log_base` logarithm of `max(mel, log_floor)`, times `log_gain`, plus `log_offset`, then
       clipped to `[clip_low, clip_high]`.

    The defaults are those of VITS (22.05 kHz). HiFi-GAN's input differs from them in
    `magnitude_epsilon` (1e-9) and, for its published vocoders, in `f_max` (8000 Hz).
    """

    sample_rate: int = 22050
    """Samples a second, Hz."""
    n_fft: int = 1024
    """Length of the Fourier transform, samples."""
    hop_length: int = 256
    """Samples from one frame to the next."""
    win_length: int = 1024
    """Length of the Hann window, samples; at most `n_fft`."""
    center: bool = False
    """Whether frame t is centred on sample `t * hop_length` (librosa's way), rather than having its
    hop in the middle (VITS's and HiFi-GAN's)."""
    padding: Literal["reflect", "zeros"] = "reflect"
    """What the waveform is padded with."""
    normalize_window: bool = False
    """Whether the transform is divided by the L2 norm of the window."""
    magnitude_epsilon: float = 1e-6
    """Added to the power under the square root."""
    power: Literal[1, 2] = 1
    """Exponent of the magnitude: 1 amplitude, 2 power."""
    n_mels: int = 80
    """Number of mel bands."""
    f_min: float = 0.0
    """Lower edge of the lowest band, Hz."""
    f_max: float | None = None
    """Upper edge of the highest band, Hz; None is half the sample rate."""
    mel_scale: Literal["slaney", "htk"] = "slaney"
    """Slaney's scale is linear below 1 kHz; HTK's is logarithmic throughout."""
    mel_norm: Literal["slaney", "none"] = "slaney"
    """`slaney` gives each triangle unit area; `none` gives it unit height."""
    log_base: Literal["e", "10", "none"] = "e"
    """Base of the logarithm; `none` leaves the mel linear."""
    log_floor: float = 1e-5
    """The mel is raised to at least this before the logarithm."""
    log_gain: float = 1.0
    """Factor on the logarithm."""
    log_offset: float = 0.0
    """Added to the scaled logarithm."""
    clip_low: float | None = None
    """Lower limit of the result; None is no limit."""
    clip_high: float | None = None
    """Upper limit of the result; None is no limit."""

    def __attrs_post_init__(self) -> None:
        for name in ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels"):
            if getattr(self, name) < 1:
                raise UserError(f"audio.{name} must be at least 1, not {getattr(self, name)}")
        if self.win_length > self.n_fft:
            raise UserError(
                f"audio.win_length ({self.win_length}) is longer than audio.n_fft ({self.n_fft})",
                hint="The window lies inside the transform: raise n_fft or lower win_length.",
            )
        if self.hop_length > self.win_length:
            raise UserError(
                f"audio.hop_length ({self.hop_length}) is longer than audio.win_length "
                f"({self.win_length}), so samples between two windows would not be seen"
            )
        if not 0 <= self.f_min < self.highest_frequency <= self.sample_rate / 2:
            raise UserError(
                f"audio.f_min ({self.f_min:g} Hz) and audio.f_max ({self.highest_frequency:g} Hz) "
                f"must satisfy 0 <= f_min < f_max <= {self.sample_rate / 2:g} Hz, half the "
                "sample rate"
            )
        if self.magnitude_epsilon < 0:
            raise UserError(
                f"audio.magnitude_epsilon must not be negative: {self.magnitude_epsilon}"
            )
        if self.log_base != "none" and not self.log_floor > 0:
            raise UserError(f"audio.log_floor must be positive, not {self.log_floor}")
        low = -math.inf if self.clip_low is None else self.clip_low
        high = math.inf if self.clip_high is None else self.clip_high
        if low >= high:
            raise UserError(f"audio.clip_low ({low}) must lie below audio.clip_high ({high})")

    @property
    def n_bins(self) -> int:
        """Frequency bins of the linear spectrogram, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1

    @property
    def highest_frequency(self) -> float:
        """`f_max` with its default resolved, Hz."""
        return self.sample_rate / 2 if self.f_max is None else float(self.f_max)

    @property
    def pad_length(self) -> int:
        """Samples that are added on each side of the waveform."""
        return self.n_fft // 2 if self.center else (self.n_fft - self.hop_length) // 2

    @property
    def frame_center(self) -> int:
        """The sample on which the first frame is centred; the others follow by `hop_length`."""
        return self.n_fft // 2 - self.pad_length

    @property
    def min_samples(self) -> int:
        """The shortest waveform that has a spectrogram: one frame, and enough to reflect."""
        one_frame = max(1, self.n_fft - 2 * self.pad_length)
        return max(one_frame, self.pad_length + 1) if self.padding == "reflect" else one_frame

    def frames(self, n_samples: int) -> int:
        """Frames of a waveform of `n_samples`; 0 where it is too short for one."""
        return max(0, (n_samples + 2 * self.pad_length - self.n_fft) // self.hop_length + 1)

    def seconds(self, n_frames: int) -> float:
        """Duration of `n_frames`, in seconds."""
        return n_frames * self.hop_length / self.sample_rate

    def check_upsampling(self, rates: Sequence[int], key: str) -> None:
        """ConfigError unless upsampling by `rates`, the value of `key`, makes one hop of each frame."""
        if math.prod(rates) != self.hop_length:
            product = " x ".join(map(str, rates))
            raise ConfigError(
                f"{key} make {product} = {math.prod(rates)} samples of a frame, but "
                f"audio.hop_length is {self.hop_length}",
                hint="Their product must equal the hop length.",
            )

    def whole_frames(self, samples: int, key: str) -> int:
        """How many hops `samples`, the value of `key`, are; ConfigError unless it is a whole number."""
        frames, rest = divmod(samples, self.hop_length)
        if rest:
            raise ConfigError(
                f"{key} ({samples}) is not a multiple of audio.hop_length ({self.hop_length})"
            )
        return frames

    def differences(self, other: MelSpec) -> tuple[str, ...]:
        """How `other` disagrees with this spec, one line a field: `"f_max: 8000.0 against None"`.

        Empty when mels of the two mean the same: an `f_max` of None and one of half the sample
        rate are not a difference.
        """
        return tuple(
            f"{attribute.name}: {getattr(self, attribute.name)} "
            f"against {getattr(other, attribute.name)}"
            for attribute in fields(MelSpec)
            if self._meaning(attribute.name) != other._meaning(attribute.name)
        )

    def _meaning(self, name: str) -> Any:
        return self.highest_frequency if name == "f_max" else getattr(self, name)
