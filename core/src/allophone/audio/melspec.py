"""`MelSpec`: the parameters that define a mel spectrogram.

Mismatched mel conventions are a common silent failure between an acoustic model and a vocoder. Every
convention is therefore a field here, and `MelSpec.differences` lists where two specs disagree.
This module is light: it imports neither torch nor numpy.
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

    A mel spectrogram is computed in these steps:

    1. Pad the waveform on both sides by `n_fft // 2` if `center`, else by
       `(n_fft - hop_length) // 2`, so that N samples give about `N / hop_length` frames.
    2. Short-time Fourier transform with a periodic Hann window of `win_length`, centred in `n_fft`,
       divided by the window's L2 norm if `normalize_window`.
    3. Magnitude `sqrt(|X|^2 + magnitude_epsilon)`, raised to `power`: the linear spectrogram.
    4. Mel filter bank of `n_mels` triangles from `f_min` to `f_max`.
    5. `log_base` logarithm of `max(mel, log_floor)`, times `log_gain`, plus `log_offset`, then
       clipped to `[clip_low, clip_high]`.

    The defaults are those of VITS (22.05 kHz). HiFi-GAN's input differs from them in
    `magnitude_epsilon` (1e-9) and, for its published vocoders, in `f_max` (8000 Hz).
    """

    sample_rate: int = 22050
    """Sample rate, Hz."""
    n_fft: int = 1024
    """Length of the Fourier transform, samples."""
    hop_length: int = 256
    """Samples from one frame to the next."""
    win_length: int = 1024
    """Length of the Hann window, samples; at most `n_fft`."""
    center: bool = False
    """Whether frame t is centred on sample `t * hop_length` (as in librosa) or on the middle of its hop
    (as in VITS and HiFi-GAN)."""
    padding: Literal["reflect", "zeros"] = "reflect"
    """How the waveform is padded."""
    normalize_window: bool = False
    """Whether to divide the transform by the L2 norm of the window."""
    magnitude_epsilon: float = 1e-6
    """Added to the power under the square root."""
    power: Literal[1, 2] = 1
    """Exponent of the magnitude: 1 for amplitude, 2 for power."""
    n_mels: int = 80
    """Number of mel bands."""
    f_min: float = 0.0
    """Lower edge of the lowest band, Hz."""
    f_max: float | None = None
    """Upper edge of the highest band, Hz; None means half the sample rate."""
    mel_scale: Literal["slaney", "htk"] = "slaney"
    """Slaney's scale is linear below 1 kHz; HTK's is logarithmic throughout."""
    mel_norm: Literal["slaney", "none"] = "slaney"
    """`slaney` gives each triangle unit area; `none` gives it unit height."""
    log_base: Literal["e", "10", "none"] = "e"
    """Base of the logarithm; `none` keeps the mel linear."""
    log_floor: float = 1e-5
    """Lower limit of the mel before the logarithm."""
    log_gain: float = 1.0
    """Factor on the logarithm."""
    log_offset: float = 0.0
    """Added to the scaled logarithm."""
    clip_low: float | None = None
    """Lower limit of the result; None for no limit."""
    clip_high: float | None = None
    """Upper limit of the result; None for no limit."""

    def __attrs_post_init__(self) -> None:
        for name in ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels"):
            if getattr(self, name) < 1:
                raise UserError(f"audio.{name} must be at least 1, not {getattr(self, name)}")
        if self.win_length > self.n_fft:
            raise UserError(
                f"audio.win_length ({self.win_length}) is longer than audio.n_fft ({self.n_fft})",
                hint="The window must fit in the transform: raise n_fft or lower win_length.",
            )
        if self.hop_length > self.win_length:
            raise UserError(
                f"audio.hop_length ({self.hop_length}) is longer than audio.win_length "
                f"({self.win_length}), so samples between windows would be skipped"
            )
        if not 0 <= self.f_min < self.highest_frequency <= self.sample_rate / 2:
            raise UserError(
                f"audio.f_min ({self.f_min:g} Hz) and audio.f_max ({self.highest_frequency:g} Hz) "
                f"must satisfy 0 <= f_min < f_max <= {self.sample_rate / 2:g} Hz, half the "
                "sample rate"
            )
        if self.magnitude_epsilon < 0:
            raise UserError(
                f"audio.magnitude_epsilon must not be negative, got {self.magnitude_epsilon}"
            )
        if self.log_base != "none" and not self.log_floor > 0:
            raise UserError(f"audio.log_floor must be positive, not {self.log_floor}")
        low = -math.inf if self.clip_low is None else self.clip_low
        high = math.inf if self.clip_high is None else self.clip_high
        if low >= high:
            raise UserError(f"audio.clip_low ({low}) must be less than audio.clip_high ({high})")

    @property
    def n_bins(self) -> int:
        """Frequency bins of the linear spectrogram, from 0 Hz to half the sample rate."""
        return self.n_fft // 2 + 1

    @property
    def highest_frequency(self) -> float:
        """`f_max` in Hz, or half the sample rate if it is None."""
        return self.sample_rate / 2 if self.f_max is None else float(self.f_max)

    @property
    def pad_length(self) -> int:
        """Samples of padding on each side of the waveform."""
        return self.n_fft // 2 if self.center else (self.n_fft - self.hop_length) // 2

    @property
    def frame_center(self) -> int:
        """The sample on which the first frame is centred; later frames follow every `hop_length`."""
        return self.n_fft // 2 - self.pad_length

    @property
    def min_samples(self) -> int:
        """The shortest waveform with a spectrogram: one frame, and enough samples for reflect padding."""
        one_frame = max(1, self.n_fft - 2 * self.pad_length)
        return max(one_frame, self.pad_length + 1) if self.padding == "reflect" else one_frame

    def frames(self, n_samples: int) -> int:
        """The number of frames of a waveform of `n_samples`; 0 if it is too short."""
        return max(0, (n_samples + 2 * self.pad_length - self.n_fft) // self.hop_length + 1)

    def seconds(self, n_frames: int) -> float:
        """The duration of `n_frames` in seconds."""
        return n_frames * self.hop_length / self.sample_rate

    def check_upsampling(self, rates: Sequence[int], key: str) -> None:
        """Raise ConfigError unless the product of `rates`, the value of the config key `key`, is `hop_length`."""
        if math.prod(rates) != self.hop_length:
            product = " x ".join(map(str, rates))
            raise ConfigError(
                f"The product of {key} is {product} = {math.prod(rates)}, but audio.hop_length is "
                f"{self.hop_length}",
                hint="Each frame is upsampled to one hop, so the two must be equal.",
            )

    def whole_frames(self, samples: int, key: str) -> int:
        """Convert `samples`, the value of the config key `key`, to frames.

        Raises ConfigError if it is not a multiple of `hop_length`.
        """
        frames, rest = divmod(samples, self.hop_length)
        if rest:
            raise ConfigError(
                f"{key} ({samples}) is not a multiple of audio.hop_length ({self.hop_length})"
            )
        return frames

    def differences(self, other: MelSpec) -> tuple[str, ...]:
        """List the fields that differ, one line each: `"f_max: 8000.0 against None"`.

        Empty if the two define the same mels: an `f_max` of None equals one of half the sample rate.
        """
        return tuple(
            f"{attribute.name}: {getattr(self, attribute.name)} "
            f"against {getattr(other, attribute.name)}"
            for attribute in fields(MelSpec)
            if self._meaning(attribute.name) != other._meaning(attribute.name)
        )

    def _meaning(self, name: str) -> Any:
        return self.highest_frequency if name == "f_max" else getattr(self, name)
